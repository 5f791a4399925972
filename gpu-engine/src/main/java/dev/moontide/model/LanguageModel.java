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
package dev.moontide.model;

import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.Step;

/**
 * A model ready to run: weights, workspace and latent cache on one device. Used by one thread at a
 * time.
 *
 * <p>A step is {@link #forward} once, then {@link #computeLogits} for the rows the step asked for,
 * at most {@link #logitCapacity()} at a time (a row of logits is as wide as the vocabulary); the
 * methods after it look at the rows computed last, numbered from 0 within them.
 */
public interface LanguageModel extends AutoCloseable {
  /** Ids run from 0 to this, exclusive. */
  int vocabularySize();

  /** Positions run from 0 to this, exclusive. */
  int maxPositions();

  /** Blocks of the latent cache. */
  int cacheBlocks();

  /** Tokens in a block of the latent cache. */
  int blockSize();

  /** Runs the layers over the step, whose tokens' cache entries it writes. */
  void forward(Step step);

  /** Rows of logits {@link #computeLogits} computes at most at once. */
  int logitCapacity();

  /** Computes logit rows {@code [first, first + count)} of the last step. */
  void computeLogits(int first, int count);

  /**
   * Answers {@code queries} about the computed rows, as {@link dev.moontide.tensor.Ops#answer}
   * does. Rows that are drawn from are then not to be read any more.
   */
  void answer(LogitQueries queries);

  /** Copies a computed row of logits, {@link #vocabularySize()} numbers. */
  void readLogits(int row, float[] out);

  @Override
  void close();
}
