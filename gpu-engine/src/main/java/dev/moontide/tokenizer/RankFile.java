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

import dev.moontide.api.MoontideException;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;

/**
 * A tiktoken vocabulary: each line is a token's bytes in base64, a space, and its rank. The ranks
 * are the token ids, 0 to n−1 without a gap, and every single byte is a token, so that any text can
 * be encoded.
 */
final class RankFile {
  private static final long MAX_BYTES = 256L << 20;

  private RankFile() {}

  /** The tokens' bytes by rank. */
  static byte[][] read(Path file) {
    Map<ByteBuffer, Integer> lineOfToken = new HashMap<>();
    byte[][] tokens = new byte[1 << 12][];
    int count = 0;
    try {
      long size = Files.size(file);
      if (size > MAX_BYTES) {
        throw MoontideException.checkpoint(
            "%s has %d bytes, more than the %d a vocabulary may have", file, size, MAX_BYTES);
      }
      // The shortest line is four characters: a rank beyond this leaves a gap.
      long maxTokens = size / 4 + 1;
      // ISO-8859-1 never fails: bytes that are not base64 are reported with their line below.
      try (BufferedReader reader = Files.newBufferedReader(file, StandardCharsets.ISO_8859_1)) {
        int line = 0;
        for (String text = reader.readLine(); text != null; text = reader.readLine()) {
          line++;
          if (text.isBlank()) {
            continue;
          }
          int space = text.indexOf(' ');
          int rank = rank(file, line, text, space, maxTokens);
          if (rank >= tokens.length) {
            tokens = Arrays.copyOf(tokens, Math.max(rank + 1, 2 * tokens.length));
          }
          if (tokens[rank] != null) {
            throw MoontideException.checkpoint(
                "%s line %d: rank %d was given before", file, line, rank);
          }
          byte[] token = bytes(file, line, text.substring(0, space));
          Integer before = lineOfToken.put(ByteBuffer.wrap(token), line);
          if (before != null) {
            throw MoontideException.checkpoint(
                "%s line %d: token %s was given on line %d before",
                file, line, text.substring(0, space), before);
          }
          tokens[rank] = token;
          count++;
        }
      }
    } catch (IOException e) {
      throw MoontideException.checkpoint("cannot read %s: %s", file, e);
    }
    for (int rank = 0; rank < count; rank++) {
      if (tokens[rank] == null) {
        throw MoontideException.checkpoint(
            "%s: rank %d is missing though the file has %d tokens; ranks should run from 0"
                + " without a gap",
            file, rank, count);
      }
    }
    for (int value = 0; value < 256; value++) {
      if (!lineOfToken.containsKey(ByteBuffer.wrap(new byte[] {(byte) value}))) {
        throw MoontideException.checkpoint(
            "%s: no token for the single byte 0x%02x; without it some text could not be encoded",
            file, value);
      }
    }
    return Arrays.copyOf(tokens, count);
  }

  private static int rank(Path file, int line, String text, int space, long maxTokens) {
    try {
      int rank = space < 1 ? -1 : Integer.parseInt(text.substring(space + 1).strip());
      if (rank >= 0 && rank < maxTokens) {
        return rank;
      }
    } catch (NumberFormatException e) {
      // Reported below with the line.
    }
    throw MoontideException.checkpoint(
        "%s line %d: expected a token in base64, a space and a rank from 0 to %d, found '%s'",
        file, line, maxTokens - 1, text.length() > 80 ? text.substring(0, 80) + "…" : text);
  }

  private static byte[] bytes(Path file, int line, String base64) {
    try {
      byte[] token = Base64.getDecoder().decode(base64);
      if (token.length > 0) {
        return token;
      }
    } catch (IllegalArgumentException e) {
      // Reported below with the line.
    }
    throw MoontideException.checkpoint(
        "%s line %d: '%s' is not the base64 of a token",
        file, line, base64.length() > 80 ? base64.substring(0, 80) + "…" : base64);
  }
}
