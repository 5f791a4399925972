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

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/**
 * Decodes one sequence as it grows, holding back the bytes of an unfinished character. What it
 * emits, in all, is what {@link Tokenizer#decode} gives for the whole. For one thread.
 */
public final class StreamDecoder {
  private final Tokenizer tokenizer;
  private final CharsetDecoder decoder =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPLACE)
          .onUnmappableCharacter(CodingErrorAction.REPLACE);
  private final CharBuffer characters = CharBuffer.allocate(128);
  private ByteBuffer bytes = ByteBuffer.allocate(128); // between calls: the bytes held back

  StreamDecoder(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** Appends a token; the text that became complete is appended to {@code out}. */
  public void append(int token, StringBuilder out) {
    byte[] added = tokenizer.bytesOf(token);
    if (added.length > bytes.remaining()) {
      bytes = ByteBuffer.allocate(2 * (bytes.position() + added.length)).put(bytes.flip());
    }
    bytes.put(added);
    decode(false, out);
  }

  /**
   * Appends what is held back (an unfinished character becomes U+FFFD). The decoder is then as new.
   */
  public void finish(StringBuilder out) {
    decode(true, out);
    decoder.reset();
  }

  private void decode(boolean end, StringBuilder out) {
    bytes.flip();
    boolean more = true;
    while (more) {
      more = decoder.decode(bytes, characters, end).isOverflow();
      out.append(characters.flip());
      characters.clear();
    }
    bytes.compact();
  }
}
