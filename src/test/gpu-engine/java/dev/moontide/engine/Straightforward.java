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

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.DoubleList;
import dev.moontide.api.FinishReason;
import dev.moontide.api.FloatList;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.sampling.Sampler;
import dev.moontide.sampling.SeenTokens;
import dev.moontide.tensor.LogitQueries;
import dev.moontide.tensor.TokenMask;
import java.util.Arrays;

/** Answers one request at a time, token by token, without cache, blocks or batches. */
final class Straightforward {
  private final FakeModel model;
  private final int maxModelLength;
  private final TokenIds stopTokens;

  Straightforward(FakeModel model, int maxModelLength, TokenIds stopTokens) {
    this.model = model;
    this.maxModelLength = maxModelLength;
    this.stopTokens = stopTokens;
  }

  /** The text of a token: a letter. */
  static char letter(int token) {
    return (char) ('a' + token % 26);
  }

  Outcome answer(GenerationRequest request) {
    // A score never computes the last token.
    int computed =
        request.prompt().length() - (request.objective() instanceof Objective.Score ? 1 : 0);
    for (int i = 0; i < computed; i++) {
      if (request.prompt().get(i) == FakeModel.POISON) {
        return new Outcome.Failure("NaN");
      }
    }
    Objective objective = request.objective();
    if (objective instanceof Objective.Sample sample) {
      return continuation(request.prompt(), sample);
    } else if (objective instanceof Objective.Choose choose) {
      return choice(request.prompt(), choose.choices());
    } else {
      return scores(request.prompt());
    }
  }

  private Outcome continuation(TokenIds prompt, Objective.Sample sample) {
    SamplingParameters parameters = sample.parameters();
    int limit = Math.min(parameters.maxTokens(), maxModelLength - prompt.length());
    int[] output = new int[limit];
    StringBuilder text = new StringBuilder();
    TokenIds path = prompt;
    for (int n = 0; n < limit; n++) {
      Sampler sampler = new Sampler(model.vocabularySize());
      float[] logits = model.logits(path);
      if (Float.isNaN(logits[0])) {
        return new Outcome.Failure("NaN");
      }
      LogitQueries queries = new LogitQueries();
      queries.draw(0, parameters, sample.rowKey(), sample.sampleIndex(), prompt.length() + n);
      new SeenTokens(model.vocabularySize())
          .list(queries, parameters.repetitionPenalty() == 1 ? TokenIds.of() : prompt, output, n);
      if (parameters.allowedTokenIds() != null) {
        queries.allow(TokenMask.of(model.vocabularySize(), parameters.allowedTokenIds()));
      }
      sampler.draw(queries, 0, logits, 0);
      output[n] = queries.draw(0).token();
      path = append(path, output[n]);
      boolean stop = parameters.stopTokenIds().contains(output[n]);
      for (int i = 0; i < stopTokens.length() && !parameters.ignoreEos(); i++) {
        stop |= stopTokens.get(i) == output[n];
      }
      if (!stop) {
        text.append(letter(output[n]));
        for (String s : parameters.stop()) {
          if (!stop && text.toString().endsWith(s)) {
            stop = true;
            text.setLength(text.length() - s.length());
          }
        }
      }
      if (stop) {
        return new Outcome.Completion(
            TokenIds.copyOfRange(output, 0, n), text.toString(), FinishReason.STOP, n + 1);
      }
    }
    return new Outcome.Completion(TokenIds.of(output), text.toString(), FinishReason.LENGTH, limit);
  }

  private Outcome scores(TokenIds prompt) {
    float[] scores = new float[prompt.length() - 1];
    for (int i = 0; i < scores.length; i++) {
      TokenIds path = TokenIds.copyOfRange(prompt.toArray(), 0, i + 1);
      scores[i] = (float) FakeModel.logProbability(model.logits(path), prompt.get(i + 1));
    }
    return new Outcome.Scores(FloatList.of(scores));
  }

  private Outcome choice(TokenIds prompt, ChoiceSet choices) {
    double[] p = new double[choices.size()];
    for (int i = 0; i < p.length; i++) {
      TokenIds path = prompt;
      TokenIds label = choices.tokens().get(i);
      for (int j = 0; j < label.length(); j++) {
        p[i] += FakeModel.logProbability(model.logits(path), label.get(j));
        path = append(path, label.get(j));
      }
    }
    double largest = Arrays.stream(p).max().orElseThrow();
    double sum = 0;
    for (int i = 0; i < p.length; i++) {
      p[i] = StrictMath.exp(p[i] - largest);
      sum += p[i];
    }
    int best = 0;
    for (int i = 0; i < p.length; i++) {
      p[i] /= sum;
      best = p[i] > p[best] ? i : best;
    }
    return new Outcome.Choice(best, DoubleList.of(p), choices.tokens().get(best).length());
  }

  private static TokenIds append(TokenIds path, int token) {
    int[] longer = Arrays.copyOf(path.toArray(), path.length() + 1);
    longer[path.length()] = token;
    return TokenIds.of(longer);
  }
}
