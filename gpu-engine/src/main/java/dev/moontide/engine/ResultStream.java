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
package dev.moontide.engine;

import dev.moontide.api.GenerationResult;
import java.util.Iterator;

/** The results of one caller's requests, in completion order. */
public interface ResultStream extends Iterator<GenerationResult>, AutoCloseable {
  /**
   * Whether a result is there, so that {@code next} does not wait for the model. A caller that
   * gathers results into batches sends off what it has when none is.
   */
  boolean isReady();

  /** Drops what is still in the engine; harmless after the last result. */
  @Override
  void close();
}
