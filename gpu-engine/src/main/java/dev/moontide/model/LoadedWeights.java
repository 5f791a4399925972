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

import java.util.Locale;

/**
 * Weights and what it took to load them.
 *
 * @param weights on their device
 * @param bytes read from the checkpoint
 * @param seconds from the first check to the last conversion
 */
public record LoadedWeights(ModelWeights weights, long bytes, double seconds) {
  /** Bytes of the checkpoint per nanosecond. */
  public double gigabytesPerSecond() {
    return bytes / seconds / 1e9;
  }

  /** For logs: {@code "loaded 958.50 GB in 310.2 s (3.09 GB/s)"}. */
  public String summary() {
    return String.format(
        Locale.ROOT,
        "loaded %.2f GB in %.1f s (%.2f GB/s)",
        bytes / 1e9,
        seconds,
        gigabytesPerSecond());
  }
}
