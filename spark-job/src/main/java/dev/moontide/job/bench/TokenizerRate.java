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
package dev.moontide.job.bench;

import dev.moontide.tokenizer.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import java.util.function.Consumer;

/** How fast ordinary English text becomes tokens, on one core. */
final class TokenizerRate {
  /** A page of plain prose. */
  private static final String TEXT = "english.txt";

  private static final int BYTES = 1 << 18;
  private static final int ROUNDS = 20;

  private TokenizerRate() {}

  /**
   * UTF-8 megabytes a second: the page, repeated to a quarter of a megabyte, is encoded {@value
   * #ROUNDS} times, the first of which compile the code; the best counts.
   */
  static double measure(Tokenizer tokenizer, Consumer<String> progress) {
    progress.accept("tokenizer");
    String page = page();
    String text = page.repeat(BYTES / page.length() + 1);
    long bytes = text.getBytes(StandardCharsets.UTF_8).length;
    long best = Long.MAX_VALUE;
    for (int i = 0; i < ROUNDS; i++) {
      long start = System.nanoTime();
      if (tokenizer.encode(text).length() == 0) {
        throw new IllegalStateException("a page of text has no tokens");
      }
      best = Math.min(best, System.nanoTime() - start);
    }
    return bytes * 1e3 / best;
  }

  private static String page() {
    try (InputStream page = TokenizerRate.class.getResourceAsStream(TEXT)) {
      return new String(Objects.requireNonNull(page, TEXT).readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
