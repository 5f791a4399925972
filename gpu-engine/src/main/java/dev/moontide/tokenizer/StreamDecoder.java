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

/** Decodes one sequence as it grows, holding back the bytes of an unfinished character. */
public final class StreamDecoder {
  StreamDecoder() {}

  /** Appends a token; the text that became complete is appended to {@code out}. */
  public void append(int token, StringBuilder out) {
    throw new IllegalStateException("skeleton");
  }

  /** Appends what is held back (an unfinished character becomes U+FFFD). */
  public void finish(StringBuilder out) {
    throw new IllegalStateException("skeleton");
  }
}
