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

import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.DType;
import dev.moontide.tensor.MatrixSource;
import dev.moontide.tensor.RandomMatrix;
import org.junit.jupiter.api.Test;

class ArithmeticTest {
  private static String description(Precision precision) {
    try (CpuOps ops = CpuOps.create(precision, 2)) {
      return ops.description();
    }
  }

  @Test
  void bf16IsNativeOrWidenedAndAutoTakesItWhereNative() {
    try (Dnnl dnnl = new Dnnl()) {
      boolean isNative = NativeBf16.available(dnnl);
      assertEquals("cpu: oneDNN f32, 2 threads", description(Precision.F32));
      assertEquals(
          "cpu: oneDNN bf16%s, 2 threads".formatted(isNative ? "" : " widened to f32"),
          description(Precision.BF16));
      assertEquals(
          "cpu: oneDNN %s, 2 threads".formatted(isNative ? "bf16" : "f32"),
          description(Precision.AUTO));
    }
  }

  @Test
  void weightsAndCacheTakeHalfTheMemory() {
    MatrixSource source = new RandomMatrix("w", 520, 64, 1);
    Attention attention = new Attention(8, 64, 32, 64, 128, 0.2f, 1e-6f);
    MatrixSource projection = new RandomMatrix("kvB", 8 * 128, 128, 1);
    try (CpuOps wide = CpuOps.create(Arithmetic.F32, 1);
        CpuOps ops = CpuOps.create(Arithmetic.WIDENED, 1)) {
      assertEquals(DType.BF16, ops.dtype());
      assertEquals(wide.matrix(source).bytes(), 2 * ops.matrix(source).bytes());
      assertEquals(wide.table(source).bytes(), 2 * ops.table(source).bytes());
      assertEquals(
          wide.latentProjection(projection, attention).bytes(),
          2 * ops.latentProjection(projection, attention).bytes());
      assertEquals(
          wide.kvBlockBytes(3, 16, attention), 2 * ops.kvBlockBytes(3, 16, attention));
    }
  }
}
