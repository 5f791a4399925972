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

import dev.moontide.api.TokenIds;
import java.nio.file.Path;
import java.util.Map;

/**
 * A tiktoken vocabulary with Kimi's split pattern and special tokens. Immutable and thread-safe.
 */
public final class Tokenizer {
  Tokenizer() {}

  /** Whether {@code folder} holds a tokenizer ({@code tiktoken.model}). */
  public static boolean isPresent(Path folder) {
    throw new IllegalStateException("skeleton");
  }

  /** Loads {@code tiktoken.model} and {@code tokenizer_config.json} from a checkpoint's folder. */
  public static Tokenizer load(Path folder) {
    throw new IllegalStateException("skeleton");
  }

  /** Encodes ordinary text: no part of it ever becomes a special token. */
  public TokenIds encode(String text) {
    throw new IllegalStateException("skeleton");
  }

  /** The text of {@code tokens}; malformed UTF-8 becomes U+FFFD. */
  public String decode(TokenIds tokens) {
    throw new IllegalStateException("skeleton");
  }

  /** Special tokens by their text, e.g. {@code <|im_end|>}. */
  public Map<String, Integer> specialTokens() {
    throw new IllegalStateException("skeleton");
  }

  /** Ids run from 0 to this, exclusive, special tokens included. */
  public int vocabularySize() {
    throw new IllegalStateException("skeleton");
  }

  /** A decoder of one growing sequence that never emits half a character. */
  public StreamDecoder streamDecoder() {
    throw new IllegalStateException("skeleton");
  }
}
