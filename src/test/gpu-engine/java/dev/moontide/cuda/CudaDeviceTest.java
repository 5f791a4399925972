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

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import dev.moontide.tensor.Encoding;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.RandomMatrix;
import dev.moontide.tensor.Step;
import dev.moontide.tensor.Tensor;
import dev.moontide.tensor.Weight;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a machine may lack, driver calls that fail, and that nothing stays open. */
class CudaDeviceTest {
  @BeforeEach
  void start() {
    Emulation.start();
    Emulation.configure();
    assertEquals(List.of(), Open.descriptions(), "left open by an earlier test");
  }

  @AfterEach
  void nothingStaysOpen() {
    Emulation.configure();
    assertEquals(List.of(), Open.descriptions());
  }

  private static CudaOps open() {
    return CudaOps.create(CudaDevice.open(0), KernelPath.SIMPLE, MemoryNeeds.NONE);
  }

  private static void assertFails(String message, MoontideException.Category category) {
    MoontideException e =
        assertThrows(
            MoontideException.class,
            () -> {
              try (Ops ops = open()) {
                work(ops);
              }
            });
    assertTrue(String.valueOf(e.getMessage()).contains(message), e.getMessage());
    assertEquals(category, e.category());
  }

  /** One product and its result. */
  private static void work(Ops ops) {
    Weight w = ops.matrix(new RandomMatrix("w", 20, 40, 1));
    Tensor out = ops.floats(4, 20);
    ops.matmul(out, ops.operand(4, 40), w, 4);
    ops.read(out, 3, new float[20], 0);
  }

  @Test
  void namesTheDevice() {
    try (Ops ops = open()) {
      assertEquals("cuda: bf16, device 0 (Emulated 0, sm_90, CUDA 13.0)", ops.description());
    }
  }

  @Test
  void everythingIsClosed() {
    try (Ops ops = open()) {
      work(ops);
      assertFalse(Open.descriptions().isEmpty());
    }
  }

  @Test
  void saysWhatTheMachineLacks() {
    Emulation.configure("devices=0");
    assertFails("the driver sees no device", MoontideException.Category.CONFIGURATION);
    Emulation.configure("driver=11080");
    assertFails("supports CUDA 11.8, and 12.0 or newer", MoontideException.Category.CONFIGURATION);
    Emulation.configure("major=7", "minor=5");
    assertFails(
        "(Emulated 0, sm_75, CUDA 13.0) cannot run the kernels",
        MoontideException.Category.CONFIGURATION);
    Emulation.configure("memory=1000");
    assertFails("has no 1,600 bytes for weights", MoontideException.Category.ENGINE);
    MoontideException e = assertThrows(MoontideException.class, () -> CudaDevice.open(3));
    assertTrue(
        String.valueOf(e.getMessage()).contains("device 3 does not exist: this machine shows 1"));
  }

  @Test
  void saysThatTheBuildHasNoKernels(@TempDir Path empty) throws IOException {
    String emulated = System.getProperty(KernelImages.PROPERTY);
    Path list = Files.createFile(empty.resolve("kernels.list"));
    Files.writeString(list, "gone.fatbin\n");
    System.setProperty(KernelImages.PROPERTY, empty.toString());
    try {
      assertFails("gone.fatbin is missing", MoontideException.Category.CONFIGURATION);
      Files.delete(list);
      assertFails("this build has no CUDA kernels", MoontideException.Category.CONFIGURATION);
    } finally {
      System.setProperty(KernelImages.PROPERTY, emulated);
    }
  }

  @Test
  void failuresNameTheCallAndLoseNothing() {
    for (String call :
        List.of(
            "cuDevicePrimaryCtxRetain",
            "cuMemAlloc_v2",
            "cuMemHostAlloc",
            "cuStreamCreate",
            "cuEventCreate",
            "cuModuleLoadData",
            "cuModuleGetFunction",
            "cuLaunchKernel",
            "cuMemcpyHtoDAsync_v2",
            "cuMemcpyDtoHAsync_v2",
            "cuStreamSynchronize")) {
      Emulation.configure("fail=" + call + ":1:999");
      assertFails("CUDA call " + call.replace("_v2", ""), MoontideException.Category.ENGINE);
      assertEquals(List.of(), Open.descriptions(), call);
    }
  }

  @Test
  void anErrorThatLosesTheDeviceSaysSo() {
    Emulation.configure("fail=cuStreamSynchronize:1:700");
    assertFails("CUDA_ERROR_ILLEGAL_ADDRESS", MoontideException.Category.DEVICE);
  }

  /** Rows of 16 KB in bf16, those from {@code damaged} on unreadable. */
  private record Rows(int rows, int damaged) implements MatrixSource {
    @Override
    public String name() {
      return "rows";
    }

    @Override
    public int columns() {
      return 8192;
    }

    @Override
    public Encoding encoding() {
      return new Encoding.Bf16();
    }

    @Override
    public void read(int first, int count, float[] out, int offset) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void copy(int first, int count, ByteBuffer target) {
      if (first + count > damaged) {
        throw MoontideException.checkpoint("row %d is damaged", damaged);
      }
      for (int row = first; row < first + count; row++) {
        for (int c = 0; c < columns(); c++) {
          target.putShort(Bf16.of(row + c % 7));
        }
      }
    }
  }

  @Test
  void aWeightOfManyPiecesIsWholeOrNotThere() {
    int rows = 1700;
    try (Ops ops = open()) {
      Weight table = ops.table(new Rows(rows, rows));
      Step step = new Step(rows, 1);
      step.beginSequence(new int[0]);
      for (int row = 0; row < rows; row++) {
        step.addToken(row, row);
      }
      Tensor x = ops.floats(rows, 8192);
      ops.embed(x, table, step);
      float[] row = new float[8192];
      for (int i = 0; i < rows; i += 511) {
        ops.read(x, i, row, 0);
        assertEquals(Float.intBitsToFloat(Bf16.of(i + 8191 % 7) << 16), row[8191]);
      }
      MoontideException e =
          assertThrows(MoontideException.class, () -> ops.table(new Rows(rows, 600)));
      assertEquals("row 600 is damaged", e.getMessage());
      work(ops);
    }
  }

  @Test
  void aBadShapeFailsBeforeItsLaunch() {
    Emulation.configure("fail=cuLaunchKernel:1:999");
    try (Ops ops = open()) {
      Weight w = ops.matrix(new RandomMatrix("w", 20, 40, 1));
      Tensor x = ops.operand(4, 40);
      Tensor out = ops.floats(4, 20);
      for (Runnable wrong :
          List.<Runnable>of(
              () -> ops.matmul(out, x, w, 5),
              () -> ops.matmul(out, x, w, 0),
              () -> ops.matmul(out, out, w, 4),
              () -> ops.swiglu(x, out, 2),
              () -> ops.rmsNorm(out, out, 1, ops.vector(new RandomMatrix("g", 1, 20, 1)), 0, 1))) {
        assertThrows(IllegalArgumentException.class, wrong::run);
      }
    }
  }
}
