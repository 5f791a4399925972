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
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Objective;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.api.TokenRanges;
import dev.moontide.constraint.ChoiceTrie;
import dev.moontide.sampling.GeneratedText;
import dev.moontide.scheduler.ChoiceSequence;
import dev.moontide.scheduler.SampledSequence;
import dev.moontide.scheduler.ScoredSequence;
import dev.moontide.scheduler.Sequence;
import dev.moontide.tensor.TokenMask;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Turns requests into sequences, or says why a row cannot be computed: everything that can be known
 * before it runs. Thread-safe.
 */
final class RequestReader {
  /** Tries and masks kept, least recently used first to go. */
  private static final int KEPT = 16;

  private final LoadedModel loaded;
  private final int vocabularySize;
  private final int maxModelLength;
  private final long cacheEntries;

  /** By identity: comparing two sets takes longer than building a trie. */
  private final Map<Identity, ChoiceTrie> tries = leastRecentlyUsed();

  /** One mask for all rows with equal ids, as a step's draws with one mask share its bits. */
  private final Map<TokenRanges, TokenMask> masks = leastRecentlyUsed();

  RequestReader(LoadedModel loaded, int maxModelLength) {
    this.loaded = loaded;
    this.maxModelLength = maxModelLength;
    vocabularySize = loaded.model().vocabularySize();
    cacheEntries = (long) loaded.model().cacheBlocks() * loaded.model().blockSize();
  }

  private static <K, V> Map<K, V> leastRecentlyUsed() {
    return new LinkedHashMap<>(KEPT, 0.75f, true) {
      @Override
      protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {
        return size() > KEPT;
      }
    };
  }

  /**
   * The sequence that answers {@code request}.
   *
   * @throws MoontideException of category ROW, if it cannot be computed
   */
  Sequence read(GenerationRequest request, Consumer<Sequence> sink) {
    TokenIds prompt = request.prompt();
    if (prompt.length() == 0) {
      throw MoontideException.row("the prompt is empty: at least one token is needed");
    }
    checkTokens("prompt", prompt);
    Sequence sequence = sequence(request, sink);
    if (sequence.maxLength() > cacheEntries) {
      throw MoontideException.row(
          "the row needs up to %d entries of the latent cache, which has %d: shorten the prompt,"
              + " lower --max-tokens or raise --kv-cache-memory",
          sequence.maxLength(), cacheEntries);
    }
    return sequence;
  }

  private Sequence sequence(GenerationRequest request, Consumer<Sequence> sink) {
    Objective objective = request.objective();
    if (objective instanceof Objective.Sample sample) {
      checkLength(request.prompt(), 1, "at least one token of output");
      return sampled(request, sink, sample);
    } else if (objective instanceof Objective.Choose choose) {
      ChoiceTrie trie = trie(choose.choices());
      checkLength(request.prompt(), trie.maxDepth(), "the longest choice");
      return new ChoiceSequence(request, sink, choose, trie);
    } else {
      checkLength(request.prompt(), 0, "no output");
      return new ScoredSequence(request, sink);
    }
  }

  private Sequence sampled(
      GenerationRequest request, Consumer<Sequence> sink, Objective.Sample sample) {
    SamplingParameters parameters = sample.parameters();
    var decoders = loaded.decoders();
    if (decoders == null && !parameters.stop().isEmpty()) {
      throw MoontideException.row(
          "the checkpoint has no tokenizer, so the stop strings %s cannot be found: use stop token"
              + " ids",
          parameters.stop());
    }
    return new SampledSequence(
        request,
        sink,
        sample,
        Math.min(parameters.maxTokens(), maxModelLength - request.prompt().length()),
        stopTokens(parameters),
        mask(parameters.allowedTokenIds()),
        decoders == null ? null : new GeneratedText(decoders.get(), parameters.stop()));
  }

  private int[] stopTokens(SamplingParameters parameters) {
    List<Integer> own = parameters.stopTokenIds();
    int model = parameters.ignoreEos() ? 0 : loaded.stopTokenIds().length();
    int[] all = new int[model + own.size()];
    loaded.stopTokenIds().copyTo(0, model, all, 0);
    for (int i = 0; i < own.size(); i++) {
      all[model + i] = own.get(i);
    }
    return all;
  }

  private @Nullable TokenMask mask(@Nullable TokenRanges allowed) {
    if (allowed == null) {
      return null;
    }
    if (allowed.last() >= vocabularySize) {
      throw MoontideException.row(
          "allowed-token-ids: token id %d: the vocabulary has ids 0 to %d",
          allowed.last(), vocabularySize - 1);
    }
    synchronized (masks) {
      return masks.computeIfAbsent(allowed, ids -> TokenMask.of(vocabularySize, ids));
    }
  }

  private ChoiceTrie trie(ChoiceSet choices) {
    Identity key = new Identity(choices);
    synchronized (tries) {
      ChoiceTrie known = tries.get(key);
      if (known != null) {
        return known;
      }
    }
    for (int i = 0; i < choices.size(); i++) {
      checkTokens("choice \"" + choices.names().get(i) + "\"", choices.tokens().get(i));
    }
    ChoiceTrie trie = new ChoiceTrie(choices);
    synchronized (tries) {
      tries.put(key, trie);
    }
    return trie;
  }

  private void checkTokens(String what, TokenIds tokens) {
    for (int i = 0; i < tokens.length(); i++) {
      int token = tokens.get(i);
      if (token < 0 || token >= vocabularySize) {
        throw MoontideException.row(
            "%s: token id %d at index %d: the vocabulary has ids 0 to %d",
            what, token, i, vocabularySize - 1);
      }
    }
  }

  private void checkLength(TokenIds prompt, int output, String what) {
    if (prompt.length() + output > maxModelLength) {
      throw MoontideException.row(
          "the prompt has %d tokens and needs room for %s: prompt and output together may have %d;"
              + " shorten it, or choose --on-long-prompt truncate-left or truncate-right",
          prompt.length(), what, maxModelLength);
    }
  }

  /** A choice set that equals itself alone. */
  private record Identity(ChoiceSet choices) {
    @Override
    @SuppressWarnings("ReferenceEquality") // identity is the point
    public boolean equals(Object other) {
      return other instanceof Identity that && that.choices == choices;
    }

    @Override
    public int hashCode() {
      return System.identityHashCode(choices);
    }
  }
}
