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
package dev.moontide.cuda;

import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Step;

/** Operations on single rows: a block for each. */
final class RowOperations {
  private static final int THREADS = 256;
  private static final int WARPS = THREADS / 32;

  /** Columns of one scale of FP8 activations. */
  private static final int GROUP = 128;

  private final Execution run;
  private final Kernel embed;
  private final Kernel rmsNorm;
  private final Kernel swiglu;
  private final Kernel quantize;
  private final Kernel gather;
  private final Kernel append;

  RowOperations(Execution run) {
    this.run = run;
    embed = run.kernels.kernel("embed", THREADS);
    rmsNorm = run.kernels.kernel("rms_norm", THREADS);
    swiglu = run.kernels.kernel("swiglu", THREADS);
    quantize = run.kernels.kernel("quantize", THREADS);
    gather = run.kernels.kernel("gather_logit_rows", THREADS);
    append = run.kernels.kernel("append_latent", THREADS);
  }

  void embed(CudaTensor x, CudaWeight table, Step step) {
    long layout = run.step(step);
    run.launcher
        .of(embed)
        .pointer(x.memory())
        .pointer(table.values())
        .pointer(layout)
        .integer(x.columns())
        .grid(run.rows(step), 1, 1);
  }

  void rmsNorm(CudaTensor out, CudaTensor x, int from, CudaWeight gain, float epsilon, int n) {
    run.launcher
        .of(rmsNorm)
        .pointer(out.memory())
        .pointer(x.memory())
        .pointer(gain.values())
        .integer(gain.columns())
        .integer(x.columns())
        .integer(from)
        .real(epsilon)
        .flag(out.isOperand())
        .grid(n, 1, 1);
  }

  void swiglu(CudaTensor out, CudaTensor gateUp, int n) {
    run.launcher
        .of(swiglu)
        .pointer(out.memory())
        .pointer(gateUp.memory())
        .integer(out.columns())
        .grid(n, 1, 1);
  }

  /** Scales of {@code columns} activations. */
  static int groups(int columns) {
    return (columns + GROUP - 1) / GROUP;
  }

  /** Scratch for {@code rows} of {@code columns} FP8 activations and their scales. */
  static long quantizedBytes(long rows, int columns) {
    return Arena.rounded(rows * columns) + Arena.rounded(rows * groups(columns) * Float.BYTES);
  }

  /** Rounds bf16 rows to FP8. */
  void quantize(long out, long scales, long x, int columns, int rows) {
    run.launcher
        .of(quantize)
        .pointer(out)
        .pointer(scales)
        .pointer(x)
        .integer(columns)
        .grid(rows, (groups(columns) + WARPS - 1) / WARPS, 1);
  }

  void gather(CudaTensor out, CudaTensor x, Step step, int first, int count) {
    long layout = run.step(step);
    run.launcher
        .of(gather)
        .pointer(out.memory())
        .pointer(x.memory())
        .pointer(layout)
        .integer(x.columns())
        .integer(first)
        .grid(count, 1, 1);
  }

  void append(
      CudaCache cache,
      int layer,
      CudaTensor kv,
      int from,
      CudaWeight gain,
      Rope rope,
      Attention attention,
      Step step) {
    long layout = run.step(step);
    long rotations = run.rotations(rope, step);
    run.launcher
        .of(append)
        .pointer(cache.address(layer))
        .pointer(kv.memory())
        .pointer(gain.values())
        .pointer(rotations)
        .pointer(layout)
        .integer(kv.columns())
        .integer(from)
        .integer(attention.latentDim())
        .integer(attention.ropeDim())
        .integer(cache.blockSize())
        .real(attention.normEpsilon())
        .grid(run.rows(step), 1, 1);
  }
}
