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
package dev.moontide.scheduler;

import dev.moontide.api.FloatList;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.tensor.Step;
import java.util.Arrays;
import java.util.function.Consumer;

/**
 * A prompt whose own tokens are scored. Its entries are the prompt without its last token, and the
 * logits of all of them are wanted: it takes nothing from the prefix cache, which holds no logits
 * (but leaves its blocks there, and, computed again after a preemption, takes what was scored).
 */
public final class ScoredSequence extends Sequence {
  private final float[] logProbabilities;
  private final int from;
  private int scored;

  public ScoredSequence(GenerationRequest request, Consumer<Sequence> sink) {
    super(request, sink);
    logProbabilities = new float[request.prompt().length() - 1];
    from = request.objective() instanceof Objective.Score score ? score.from() : 1;
  }

  @Override
  int length() {
    return logProbabilities.length;
  }

  @Override
  public int maxLength() {
    return logProbabilities.length;
  }

  @Override
  int firstWanted() {
    return scored;
  }

  @Override
  void addEntry(Step step, int i) {
    throw new IllegalStateException("entry " + i + " lies beyond the prompt");
  }

  /** The token whose probability is wanted next: the prompt's after the last one scored. */
  public int target(int entry) {
    return prompt().get(entry + 1);
  }

  /** Takes the log-probability of the next target. */
  public void accept(double logProbability) {
    logProbabilities[scored++] = (float) logProbability;
  }

  @Override
  boolean isAnswered() {
    return scored == logProbabilities.length;
  }

  @Override
  Outcome answer() {
    int first = Math.min(from - 1, logProbabilities.length);
    return new Outcome.Scores(
        FloatList.of(Arrays.copyOfRange(logProbabilities, first, logProbabilities.length)));
  }

  @Override
  public long bytes() {
    return 8L * prompt().length();
  }
}
