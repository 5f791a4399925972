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
import dev.moontide.api.Outcome;

/** The running totals behind {@link EngineStatistics}. Guarded by the engine's lock. */
final class Totals {
  private long steps;
  private long computedTokens;
  private long decodedTokens;
  private long promptTokens;
  private long cachedTokens;
  private long completionTokens;
  private long preemptions;
  private long prefillNanos;
  private long decodeNanos;

  /** Adds a step of {@code tokens}; {@code preemptions} counts from the start. */
  void addStep(int tokens, long nanos, boolean isPrefill, long preemptions) {
    steps++;
    computedTokens += tokens;
    this.preemptions = preemptions;
    if (isPrefill) {
      prefillNanos += nanos;
    } else {
      decodedTokens += tokens;
      decodeNanos += nanos;
    }
  }

  /** Adds a finished request. */
  void add(GenerationResult result) {
    promptTokens += result.promptTokens();
    cachedTokens += result.cachedTokens();
    Outcome outcome = result.outcome();
    if (outcome instanceof Outcome.Completion completion) {
      completionTokens += completion.completionTokens();
    } else if (outcome instanceof Outcome.Choice choice) {
      completionTokens += choice.completionTokens();
    }
  }

  EngineStatistics snapshot(LoadedModel loaded) {
    return new EngineStatistics(
        loaded.device().description(),
        loaded.device().dtype(),
        loaded.device().threads(),
        steps,
        computedTokens,
        decodedTokens,
        promptTokens,
        cachedTokens,
        completionTokens,
        preemptions,
        loaded.loadSeconds(),
        loaded.loadedBytes(),
        prefillNanos / 1e9,
        decodeNanos / 1e9,
        loaded.device().matmulNanos().getAsLong() / 1e9);
  }
}
