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
package dev.moontide.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.tensor.DType;
import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MatmulKernelTest {
  static List<Arithmetic> arithmetics() {
    return CpuBackend.arithmetics();
  }

  /** Were oneDNN to fall back to its reference code, everything would still be right, but slow. */
  @ParameterizedTest
  @MethodSource("arithmetics")
  void productsAreNotComputedByReferenceCode(Arithmetic arithmetic) {
    try (Dnnl dnnl = new Dnnl();
        MatmulKernels kernels = new MatmulKernels(dnnl)) {
      for (MatmulShape shape :
          List.of(
              MatmulShape.packed(arithmetic, 1024, 256, 256),
              MatmulShape.packed(arithmetic, 1024, 97, 97),
              MatmulShape.packed(Arithmetic.F32, 1024, 32, 32),
              new MatmulShape(
                  arithmetic, 128, 512, 128, arithmetic.operand(), 8 * 576, false, false),
              new MatmulShape(arithmetic, 576, 32, 576, DType.F32, 32, true, false),
              new MatmulShape(arithmetic, 32, 512, 32, DType.F32, 512, true, true))) {
        String implementation = kernels.of(shape).slice(0).implementation();
        assertFalse(implementation.startsWith("ref"), shape + ": " + implementation);
      }
    }
  }

  /** If a size were refused the results would be right, but the blocks smaller than meant. */
  @ParameterizedTest
  @MethodSource("arithmetics")
  void everyCallSizeKeepsARowsBits(Arithmetic arithmetic) {
    try (Dnnl dnnl = new Dnnl();
        MatmulKernels kernels = new MatmulKernels(dnnl)) {
      MatmulKernel kernel = kernels.of(MatmulShape.packed(arithmetic, 384, 192, 192)).slice(0);
      for (int rows : new int[] {1, 2, 3, 5, 8, 13, 16, 20, 24, 28, 32, 40, 48, 56, 64}) {
        assertTrue(kernel.invariant(rows), rows + " rows");
      }
    }
  }

  @ParameterizedTest
  @MethodSource("arithmetics")
  void pageLayoutIsOneDnns(Arithmetic arithmetic) {
    for (int rows : new int[] {1, 16, 33, 96, 576, 1025}) {
      for (int columns : new int[] {1, 16, 20, 48, 64, 130}) {
        PageLayout layout = new PageLayout(arithmetic, rows, columns);
        int width = layout.productColumns();
        MatmulShape shape =
            new MatmulShape(arithmetic, rows, width, rows, DType.F32, width, true, false);
        try (Dnnl dnnl = new Dnnl();
            MatmulKernels kernels = new MatmulKernels(dnnl);
            NativeMemory memory = new NativeMemory();
            Lane lane = new Lane(dnnl)) {
          Product product = kernels.of(shape);
          assertEquals(layout.bytes(), product.weightBytes(), layout.toString());
          checkPlaces(layout, product, memory, lane);
        }
      }
    }
  }

  /** Multiplies a unit vector with a page in which every element is its own number. */
  private static void checkPlaces(
      PageLayout layout, Product product, NativeMemory memory, Lane lane) {
    long page = memory.allocate(layout.bytes(), "a page");
    ByteBuffer view = Address.view(page, layout.bytes());
    Set<Integer> places = new HashSet<>();
    for (int r = 0; r < layout.rows(); r++) {
      for (int c = 0; c < layout.columns(); c++) {
        int index = layout.index(r, c);
        assertTrue(places.add(index), "two elements at " + index);
        put(view, layout.type(), index, element(r, c));
      }
    }
    int row = layout.rows() / 2;
    DType operand = product.shape().source();
    long source = memory.allocate((long) layout.rows() * operand.bytes(), "a row");
    put(Address.view(source, (long) layout.rows() * operand.bytes()), operand, row, 1);
    long target = memory.allocate(4L * layout.productColumns(), "a result");
    lane.multiply(product, 1, source, page, target);
    ByteBuffer result = Address.view(target, 4L * layout.productColumns());
    for (int c = 0; c < layout.columns(); c++) {
      assertNotEquals(0, element(row, c));
      assertEquals(element(row, c), result.getFloat(4 * c), layout + ", column " + c);
    }
    for (int c = layout.columns(); c < layout.productColumns(); c++) {
      assertEquals(0, result.getFloat(4 * c), layout + ", padding " + c);
    }
  }

  /** Small whole numbers, exact in bf16. */
  private static float element(int row, int column) {
    return 1 + (row * 31 + column * 7) % 251;
  }

  private static void put(ByteBuffer view, DType type, int index, float value) {
    switch (type) {
      case BF16 -> view.putShort(2 * index, (short) (Float.floatToIntBits(value) >>> 16));
      case F32 -> view.putFloat(4 * index, value);
    }
  }
}
