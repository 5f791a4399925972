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
package dev.moontide.tokenizer;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.Encoding;
import com.knuddels.jtokkit.api.GptBytePairEncodingParams;
import com.knuddels.jtokkit.api.IntArrayList;
import dev.moontide.api.MoontideException;
import dev.moontide.api.TokenIds;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.regex.Pattern;

/**
 * A tiktoken vocabulary with Kimi's split pattern and special tokens. Immutable and thread-safe.
 *
 * <p>{@code decode(encode(text))} is {@code text}, except that an unpaired surrogate, which no
 * UTF-8 can hold, becomes U+FFFD. Ids without text (those reserved between the vocabulary and the
 * last special token, and any from {@link #vocabularySize()} on, which a model's padded vocabulary
 * may have) decode to nothing.
 */
public final class Tokenizer {
  private static final String VOCABULARY_FILE = "tiktoken.model";
  private static final byte[] NO_BYTES = {};

  private final Encoding ranks;
  private final Encoding asciiRanks;
  private final byte[][] bytesOfToken;
  private final int rankCount;
  private final Map<String, Integer> specialTokens;
  private final SpecialTokens matcher;

  private Tokenizer(byte[][] vocabulary, SortedMap<Integer, String> addedTokens) {
    rankCount = vocabulary.length;
    IdentityHashMap<byte[], Integer> rankOfBytes = new IdentityHashMap<>(rankCount);
    for (int rank = 0; rank < rankCount; rank++) {
      rankOfBytes.put(vocabulary[rank], rank);
    }
    ranks = encoding("moontide", SplitPattern.PATTERN, rankOfBytes);
    asciiRanks = encoding("moontide-ascii", SplitPattern.ASCII_PATTERN, rankOfBytes);
    int size = addedTokens.isEmpty() ? rankCount : addedTokens.lastKey() + 1;
    bytesOfToken = Arrays.copyOf(vocabulary, size);
    Arrays.fill(bytesOfToken, rankCount, size, NO_BYTES);
    Map<String, Integer> special = new LinkedHashMap<>();
    addedTokens.forEach(
        (id, text) -> {
          special.put(text, id);
          bytesOfToken[id] = text.getBytes(StandardCharsets.UTF_8);
        });
    specialTokens = Collections.unmodifiableMap(special);
    matcher = new SpecialTokens(special);
  }

  private static Encoding encoding(String name, Pattern pattern, Map<byte[], Integer> rankOfBytes) {
    return Encodings.newLazyEncodingRegistry()
        .registerGptBytePairEncoding(
            new GptBytePairEncodingParams(name, pattern, rankOfBytes, Collections.emptyMap()))
        .getEncoding(name)
        .orElseThrow();
  }

  /** Whether {@code folder} holds a tokenizer ({@code tiktoken.model}). */
  public static boolean isPresent(Path folder) {
    return Files.isRegularFile(folder.resolve(VOCABULARY_FILE));
  }

  /**
   * Loads {@code tiktoken.model} and {@code tokenizer_config.json} from a checkpoint's folder.
   *
   * @throws MoontideException of category checkpoint, naming the file and the line or key
   */
  public static Tokenizer load(Path folder) {
    if (!isPresent(folder)) {
      throw MoontideException.checkpoint("%s has no %s, the vocabulary", folder, VOCABULARY_FILE);
    }
    byte[][] vocabulary = RankFile.read(folder.resolve(VOCABULARY_FILE));
    return new Tokenizer(vocabulary, TokenizerConfig.load(folder).addedTokens(vocabulary.length));
  }

  /** Encodes ordinary text: no part of it ever becomes a special token. */
  public TokenIds encode(String text) {
    IntArrayList ids = new IntArrayList(text.length() / 3 + 8);
    encode(text, ids);
    return TokenIds.of(ids.toArray());
  }

  /** Appends the tokens of ordinary text. */
  void encode(String text, IntArrayList ids) {
    List<String> pieces = SplitPattern.pieces(replaceUnpairedSurrogates(text));
    for (String piece : pieces) {
      Encoding encoding = SplitPattern.isAscii(piece) ? asciiRanks : ranks;
      IntArrayList encoded = encoding.encodeOrdinary(piece);
      for (int i = 0; i < encoded.size(); i++) {
        ids.add(encoded.get(i));
      }
    }
  }

  private static String replaceUnpairedSurrogates(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isSurrogate(text.charAt(i))) {
        // UTF-16 is where Java replaces an unpaired surrogate by U+FFFD; UTF-8 would give '?'.
        return new String(text.getBytes(StandardCharsets.UTF_16), StandardCharsets.UTF_16);
      }
    }
    return text;
  }

  /** The text of {@code tokens}; malformed UTF-8 becomes U+FFFD. */
  public String decode(TokenIds tokens) {
    StringBuilder text = new StringBuilder(4 * tokens.length());
    StreamDecoder decoder = streamDecoder();
    for (int i = 0; i < tokens.length(); i++) {
      decoder.append(tokens.get(i), text);
    }
    decoder.finish(text);
    return text.toString();
  }

  /**
   * The bytes of {@code token}, which may be part of a character: the UTF-8 of its text for a
   * special token, none for an id without text.
   */
  public byte[] bytes(int token) {
    return bytesOf(token).clone();
  }

  /** As {@link #bytes}, not to be written to. */
  byte[] bytesOf(int token) {
    if (token < 0) {
      throw new IllegalArgumentException("token id " + token + " is negative");
    }
    return token < bytesOfToken.length ? bytesOfToken[token] : NO_BYTES;
  }

  /** Special tokens by their text, e.g. {@code <|im_end|>}, in the order of their ids. */
  public Map<String, Integer> specialTokens() {
    return specialTokens;
  }

  /** Whether {@code token} is a special token or an id reserved for one. */
  public boolean isSpecial(int token) {
    return token >= rankCount && token < bytesOfToken.length;
  }

  SpecialTokens specialTokenMatcher() {
    return matcher;
  }

  /** Ids run from 0 to this, exclusive, special tokens included. */
  public int vocabularySize() {
    return bytesOfToken.length;
  }

  /** A decoder of one growing sequence that never emits half a character. */
  public StreamDecoder streamDecoder() {
    return new StreamDecoder(this);
  }
}
