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

import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What {@code bench} measured.
 *
 * @param device the backend and its device
 * @param parameters of the model, in all
 * @param activeParameters parameters a token is multiplied with, the embedding excluded
 * @param matmulGflops the device's own rate at 1024³ through the same library, all threads
 * @param loadGbPerSecond checkpoint bytes loaded per second
 * @param prefill prompts alone
 * @param decode one line for each number of sequences
 * @param wholeTokensPerSecond prompt and new tokens of the whole set, over its wall time
 * @param matmulShare of the threads' time in the whole set spent inside matrix products
 * @param tokenizerMbPerSecond text encoded on one core; null for a model without a tokenizer
 */
public record BenchReport(
    String device,
    long parameters,
    long activeParameters,
    double matmulGflops,
    double loadGbPerSecond,
    Rate prefill,
    List<Rate> decode,
    double wholeTokensPerSecond,
    double matmulShare,
    @Nullable Double tokenizerMbPerSecond) {

  /**
   * A measured rate.
   *
   * @param sequences running together, at most
   * @param tokensPerSecond of them all
   * @param gflops the model's own floating point operations per second (weights and attention)
   * @param ratio {@code gflops} to {@link BenchReport#matmulGflops()}
   */
  public record Rate(int sequences, double tokensPerSecond, double gflops, double ratio) {}

  /** The report for people. */
  public String text() {
    StringBuilder out = new StringBuilder();
    line(out, "device", "%s", device);
    line(
        out,
        "model",
        "%.1f M parameters, %.1f M active per token",
        parameters / 1e6,
        activeParameters / 1e6);
    line(out, "load", "%.2f GB/s", loadGbPerSecond);
    line(out, "matmul 1024³", "%.0f GFLOP/s (the ratios below are to this)", matmulGflops);
    rate(out, "prefill, " + prefill.sequences + " prompts", prefill);
    for (Rate rate : decode) {
      rate(
          out,
          "decode, " + rate.sequences + (rate.sequences == 1 ? " sequence" : " sequences"),
          rate);
    }
    line(out, "whole set", "%.0f tokens/s", wholeTokensPerSecond);
    line(out, "time in matmul", "%.0f %%", 100 * matmulShare);
    if (tokenizerMbPerSecond != null) {
      line(out, "tokenizer, one core", "%.1f MB/s", tokenizerMbPerSecond);
    }
    return out.toString();
  }

  private static void rate(StringBuilder out, String name, Rate rate) {
    line(
        out,
        name,
        "%8.0f tokens/s  %6.1f GFLOP/s  ratio %.2f",
        rate.tokensPerSecond,
        rate.gflops,
        rate.ratio);
  }

  private static void line(StringBuilder out, String name, String format, Object... values) {
    out.append(String.format(Locale.ROOT, "%-22s", name))
        .append(String.format(Locale.ROOT, format, values))
        .append(System.lineSeparator());
  }
}
