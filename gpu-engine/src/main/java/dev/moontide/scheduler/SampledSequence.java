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

import dev.moontide.api.FinishReason;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.sampling.GeneratedText;
import dev.moontide.sampling.SeenTokens;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.Step;
import dev.moontide.tensor.TokenMask;
import java.util.Arrays;
import java.util.Objects;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** A prompt being continued. Its entries are the prompt and what was generated so far. */
public final class SampledSequence extends Sequence {
  private static final TokenIds NONE = TokenIds.of();

  private final Objective.Sample objective;
  private final int maxTokens;
  private final int[] stopTokens;
  private final @Nullable TokenMask allowed;
  private final @Nullable GeneratedText text;

  private int[] generated = new int[16];
  private int count;
  private @Nullable FinishReason finishReason;

  /**
   * @param maxTokens tokens there is room for, at least 1
   * @param stopTokens token ids that end the output
   * @param allowed the only tokens to draw; null allows all
   * @param text the output's text; null without a tokenizer
   */
  public SampledSequence(
      GenerationRequest request,
      Consumer<Sequence> sink,
      Objective.Sample objective,
      int maxTokens,
      int[] stopTokens,
      @Nullable TokenMask allowed,
      @Nullable GeneratedText text) {
    super(request, sink);
    this.objective = objective;
    this.maxTokens = maxTokens;
    this.stopTokens = stopTokens;
    this.allowed = allowed;
    this.text = text;
  }

  @Override
  int length() {
    return prompt().length() + count;
  }

  /** The last token generated is never computed. */
  @Override
  public int maxLength() {
    return prompt().length() + maxTokens - 1;
  }

  @Override
  int firstWanted() {
    return length() - 1;
  }

  @Override
  void addEntry(Step step, int i) {
    step.addToken(generated[i - prompt().length()], i);
  }

  /** Asks for the next token by row {@code row} of the logits. */
  public void ask(LogitQueries queries, int row, SeenTokens seen) {
    SamplingParameters parameters = objective.parameters();
    queries.draw(row, parameters, objective.rowKey(), objective.sampleIndex(), length());
    if (parameters.hasPenalties()) {
      // Of the prompt's tokens the repetition penalty alone knows.
      TokenIds penalised = parameters.repetitionPenalty() == 1 ? NONE : prompt();
      seen.list(queries, penalised, generated, count);
    }
    if (allowed != null) {
      queries.allow(allowed);
    }
  }

  /** Continues the output with {@code token}. */
  public void accept(int token) {
    if (count == generated.length) {
      generated = Arrays.copyOf(generated, 2 * count);
    }
    generated[count++] = token;
    if (isStop(token) || (text != null && text.append(token))) {
      finishReason = FinishReason.STOP;
    } else if (count == maxTokens) {
      finishReason = FinishReason.LENGTH;
    }
  }

  private boolean isStop(int token) {
    for (int stop : stopTokens) {
      if (stop == token) {
        return true;
      }
    }
    return false;
  }

  @Override
  boolean isAnswered() {
    return finishReason != null;
  }

  @Override
  Outcome answer() {
    FinishReason reason = Objects.requireNonNull(finishReason);
    int kept = reason == FinishReason.STOP ? count - 1 : count;
    return new Outcome.Completion(
        TokenIds.copyOfRange(generated, 0, kept),
        text == null ? "" : text.toString(),
        reason,
        count);
  }

  @Override
  public long bytes() {
    return 4L * (prompt().length() + maxTokens) + (text == null ? 0 : 4L * maxTokens);
  }
}
