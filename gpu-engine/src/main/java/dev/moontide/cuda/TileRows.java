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

import dev.moontide.tensor.Rope;
import dev.moontide.tensor.Step;
import dev.moontide.tensor.Tensor;

/** What happens to rows between products on tiles ({@code hopper/rows.cu}). */
final class TileRows {
  private static final int NORM_THREADS = 256;
  private static final int APPEND_THREADS = 128;

  /** Columns of a norm, whose row a block keeps in shared memory. */
  static final int MAX_COLUMNS = 40 << 10;

  private final Execution run;
  private final PagedStep pages;
  private final Kernel norm;
  private final Kernel append;

  TileRows(Execution run, Kernels kernels, PagedStep pages) {
    this.run = run;
    this.pages = pages;
    norm = kernels.kernel("rms_norm", NORM_THREADS, MAX_COLUMNS * Float.BYTES);
    append = kernels.kernel("append_latent", APPEND_THREADS);
  }

  /** The norm of columns {@code [from, from + width)}, as the kind of {@code out} takes it. */
  void norm(PanelTensor out, Tensor x, int from, CudaWeight gain, float epsilon, int n) {
    Launcher launcher = run.launcher.parameters(norm.withShared(gain.columns() * Float.BYTES));
    if (x instanceof PanelTensor parts && parts.kind() == PanelTensor.Kind.PARTS) {
      if (from != 0) {
        throw new IllegalArgumentException("a norm of parts begins at column 0, not " + from);
      }
      launcher
          .pointer(0)
          .wide(0)
          .pointer(parts.memory())
          .integer(parts.splits())
          .wide(parts.splitStride())
          .wide(parts.stride());
    } else {
      CudaTensor rows = (CudaTensor) x;
      launcher
          .pointer(rows.memory().address() + (long) from * Float.BYTES)
          .wide(rows.columns())
          .pointer(0)
          .integer(0)
          .wide(0)
          .wide(0);
    }
    long at = out.memory().address();
    launcher.integer(gain.columns()).pointer(gain.values()).real(epsilon).pointer(0);
    switch (out.kind()) {
      case FP8 -> launcher.pointer(at).pointer(out.scales()).pointer(0).pointer(0);
      case BF16 -> launcher.pointer(0).pointer(0).pointer(at).pointer(0);
      case HIGH_LOW ->
          launcher
              .pointer(0)
              .pointer(0)
              .pointer(at)
              .pointer(at + Tiles.panelBytes(out.capacity(), out.kBlocks()));
      case PARTS, ROWS -> throw new IllegalArgumentException("a norm does not make " + out.kind());
    }
    launcher.integer(out.capacity()).grid(n, 1, 1);
  }

  /** The step's cache entries, which begin at the second matrix's columns of {@code kv}. */
  void append(
      PageCache cache,
      int layer,
      PanelTensor kv,
      CudaWeight gain,
      float epsilon,
      Rope rope,
      Step step) {
    PagedLayout layout = pages.prepare(step, run.rows(step));
    run.launcher
        .parameters(append)
        .pointer(kv.memory())
        .integer(kv.splits())
        .wide(kv.splitStride())
        .wide(kv.stride())
        .integer(kv.from())
        .pointer(gain.values())
        .real(epsilon)
        .pointer(run.rotations(rope, step))
        .pointer(pages.address(layout.position()))
        .pointer(pages.address(layout.slot()))
        .pointer(cache.address(layer))
        .grid(run.rows(step), 1, 1);
  }
}
