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

import dev.moontide.api.MoontideException;
import dev.moontide.tensor.MatrixSource;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Looks for NaN in FP8 weights on the device, where that is nothing beside reading them: the mma
 * kernels' conversion would take it for 480. Safe for concurrent use by threads bound to the
 * device.
 */
final class NanSearch implements Owned.Resource {
  private static final int THREADS = 256;
  private static final int MAX_BLOCKS = 1024;

  /** Bits of a finding that say where in its weight; those above say which, from 1 on. */
  private static final int PLACE_BITS = 40;

  private final Staging staging;
  private final Kernel kernel;
  private final CudaStream stream;
  private final Owned owned = new Owned();
  private final PinnedBuffer host;
  private final DeviceBuffer found;

  /** By number, less 1: the matrices of a weight, one after the other. */
  private final List<List<MatrixSource>> weights = new ArrayList<>();

  NanSearch(CudaDevice device, Kernels kernels, Staging staging) {
    this.staging = staging;
    kernel = kernels.kernel("mma_find_nan", THREADS);
    try {
      stream = owned.add(new CudaStream("looking for NaN"));
      host = owned.add(new PinnedBuffer(Long.BYTES, "a place of NaN"));
      found = owned.add(DeviceBuffer.allocate(device, Long.BYTES, "a place of NaN"));
      forget();
    } catch (RuntimeException e) {
      owned.close();
      throw e;
    }
  }

  private void forget() {
    host.view().putLong(0, 0);
    stream.upload(found, 0, host, Long.BYTES);
    stream.synchronise();
  }

  /** Looks through {@code bytes} codes of {@code sources} when all that was sent is there. */
  synchronized void look(List<MatrixSource> sources, Memory codes, long bytes) {
    weights.add(List.copyOf(sources));
    long number = (long) weights.size() << PLACE_BITS;
    int blocks = (int) Math.min(MAX_BLOCKS, bytes / (16 * THREADS) + 1);
    staging.whenCopied(
        launcher ->
            launcher
                .of(kernel)
                .pointer(codes)
                .pointer(found.address())
                .wide(bytes)
                .wide(number)
                .integer(blocks)
                .grid(blocks, 1, 1));
  }

  /**
   * Says what was found, once all is done.
   *
   * @throws MoontideException of category checkpoint that names a matrix with NaN
   */
  synchronized void finish() {
    if (weights.isEmpty()) {
      return;
    }
    stream.download(host, found, 0, Long.BYTES);
    stream.synchronise();
    ByteBuffer view = host.view();
    long finding = view.getLong(0);
    if (finding != 0) {
      List<MatrixSource> sources = weights.get((int) (finding >>> PLACE_BITS) - 1);
      long place = finding & (1L << PLACE_BITS) - 1;
      MatrixSource first = sources.get(0);
      long each = (long) first.rows() * first.columns();
      MatrixSource source = sources.get((int) (place / each));
      throw MoontideException.checkpoint(
          "tensor %s: the number at [%d, %d] is NaN, expected a finite one: the checkpoint is"
              + " damaged, download it again",
          source.name(), place % each / source.columns(), place % source.columns());
    }
    weights.clear();
  }

  @Override
  public void close() {
    owned.close();
  }
}
