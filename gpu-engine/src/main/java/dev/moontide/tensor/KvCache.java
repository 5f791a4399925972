/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
 * in compliance with the License. You may obtain a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software distributed under the License
 * is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
 * or implied. See the License for the specific language governing permissions and limitations under
 * the License.
 */
package dev.moontide.tensor;

/**
 * The paged latent cache of every layer: {@link #blocks()} blocks of {@link #blockSize()} tokens,
 * each token {@link Attention#cacheColumns()} numbers a layer. A sequence's token {@code i} lives
 * in block {@code blockTable[i / blockSize]} at {@code i % blockSize}. Which sequence owns which
 * block is the scheduler's business; a freshly assigned block holds arbitrary bits, and an
 * operation reads only entries written before.
 */
public interface KvCache {
  int blocks();

  /** Tokens per block. */
  int blockSize();
}
