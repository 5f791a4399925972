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
package dev.moontide.api;

import java.io.Serializable;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How tokens are drawn, validated. Immutable; start from {@link #greedy} or {@link #builder}.
 *
 * @param maxTokens tokens to generate at most, at least 1
 * @param temperature divides the logits; 0 takes the most probable token
 * @param topK keeps the k most probable tokens; 0 keeps all
 * @param topP keeps the fewest tokens whose probability reaches p; in (0, 1]
 * @param minP drops tokens below p times the highest probability; in [0, 1)
 * @param presencePenalty subtracted once from a token generated before; in [-2, 2]
 * @param frequencyPenalty subtracted for every time a token was generated; in [-2, 2]
 * @param repetitionPenalty divides positive and multiplies negative logits of tokens seen in the
 *     prompt or the output (CTRL, arXiv 1909.05858); positive, 1 changes nothing
 * @param stop strings that end the output; the output ends before them
 * @param stopTokenIds token ids that end the output beside the model's own
 * @param allowedTokenIds the only token ids that are drawn, whatever the others' logits; null
 *     allows all. An output ends before maxTokens only where a token that ends it is among them
 * @param seed of the counter-based random numbers
 * @param ignoreEos generate on to {@code maxTokens}, whatever the model says
 */
public record SamplingParameters(
    int maxTokens,
    double temperature,
    int topK,
    double topP,
    double minP,
    double presencePenalty,
    double frequencyPenalty,
    double repetitionPenalty,
    List<String> stop,
    List<Integer> stopTokenIds,
    @Nullable TokenRanges allowedTokenIds,
    long seed,
    boolean ignoreEos)
    implements Serializable {

  public SamplingParameters {
    stop = List.copyOf(stop);
    stopTokenIds = List.copyOf(stopTokenIds);
    check(maxTokens >= 1, "max-tokens", maxTokens, "at least 1");
    check(temperature >= 0 && temperature <= 100, "temperature", temperature, "from 0 to 100");
    check(topK >= 0, "top-k", topK, "0 (all tokens) or more");
    check(topP > 0 && topP <= 1, "top-p", topP, "above 0, at most 1");
    check(minP >= 0 && minP < 1, "min-p", minP, "at least 0, below 1");
    checkPenalty("presence-penalty", presencePenalty);
    checkPenalty("frequency-penalty", frequencyPenalty);
    check(
        repetitionPenalty > 0 && repetitionPenalty <= 10,
        "repetition-penalty",
        repetitionPenalty,
        "above 0, at most 10");
    check(stop.stream().noneMatch(String::isEmpty), "stop", "\"\"", "a string that is not empty");
  }

  private static void checkPenalty(String name, double value) {
    check(value >= -2 && value <= 2, name, value, "from -2 to 2");
  }

  private static void check(boolean valid, String name, Object value, String allowed) {
    if (!valid) {
      throw MoontideException.configuration("%s is %s: allowed is %s", name, value, allowed);
    }
  }

  /** The most probable token each time. */
  public static SamplingParameters greedy(int maxTokens) {
    return builder().maxTokens(maxTokens).temperature(0).build();
  }

  /** Starts from temperature 0, 256 tokens, no truncation and no penalties. */
  public static Builder builder() {
    return new Builder();
  }

  /** Whether the most probable token is taken each time. */
  public boolean isGreedy() {
    return temperature == 0;
  }

  /** Whether any penalty changes the logits. */
  public boolean hasPenalties() {
    return presencePenalty != 0 || frequencyPenalty != 0 || repetitionPenalty != 1;
  }

  /** Builds {@link SamplingParameters}; see there for the ranges. */
  public static final class Builder {
    private int maxTokens = 256;
    private double temperature;
    private int topK;
    private double topP = 1;
    private double minP;
    private double presencePenalty;
    private double frequencyPenalty;
    private double repetitionPenalty = 1;
    private List<String> stop = List.of();
    private List<Integer> stopTokenIds = List.of();
    private @Nullable TokenRanges allowedTokenIds;
    private long seed;
    private boolean ignoreEos;

    private Builder() {}

    public Builder maxTokens(int value) {
      maxTokens = value;
      return this;
    }

    public Builder temperature(double value) {
      temperature = value;
      return this;
    }

    public Builder topK(int value) {
      topK = value;
      return this;
    }

    public Builder topP(double value) {
      topP = value;
      return this;
    }

    public Builder minP(double value) {
      minP = value;
      return this;
    }

    public Builder presencePenalty(double value) {
      presencePenalty = value;
      return this;
    }

    public Builder frequencyPenalty(double value) {
      frequencyPenalty = value;
      return this;
    }

    public Builder repetitionPenalty(double value) {
      repetitionPenalty = value;
      return this;
    }

    public Builder stop(List<String> value) {
      stop = value;
      return this;
    }

    public Builder stopTokenIds(List<Integer> value) {
      stopTokenIds = value;
      return this;
    }

    public Builder allowedTokenIds(@Nullable TokenRanges value) {
      allowedTokenIds = value;
      return this;
    }

    public Builder seed(long value) {
      seed = value;
      return this;
    }

    public Builder ignoreEos(boolean value) {
      ignoreEos = value;
      return this;
    }

    /** Validates and builds. */
    public SamplingParameters build() {
      return new SamplingParameters(
          maxTokens,
          temperature,
          topK,
          topP,
          minP,
          presencePenalty,
          frequencyPenalty,
          repetitionPenalty,
          stop,
          stopTokenIds,
          allowedTokenIds,
          seed,
          ignoreEos);
    }
  }
}
