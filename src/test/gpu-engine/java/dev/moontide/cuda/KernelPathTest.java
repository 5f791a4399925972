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
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.api.MoontideException;
import dev.moontide.cuda.KernelPath.Refusals;
import dev.moontide.tensor.Attention;
import dev.moontide.tensor.Encoding;
import dev.moontide.tensor.MatrixSource;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Which kernels a device and a model take, and why. */
class KernelPathTest {
  private static final Refusals SUITS = new Refusals(Optional.empty(), Optional.empty());
  private static final Refusals INT4 = new Refusals(Optional.empty(), Optional.of("q is int4"));
  private static final Refusals NEITHER =
      new Refusals(Optional.of("q has groups of 16"), Optional.of("q is int4"));

  private static void assertChoice(KernelPath path, String reason, KernelPath.Choice choice) {
    assertEquals(path, choice.path());
    assertTrue(choice.reason().contains(reason), choice.reason());
  }

  @Test
  void theDeviceAndTheModelDecide() {
    assertChoice(KernelPath.HOPPER, "suit", KernelPath.choose(90, SUITS, null));
    assertChoice(KernelPath.MMA, "sm_80", KernelPath.choose(80, SUITS, null));
    assertChoice(KernelPath.MMA, "sm_100", KernelPath.choose(100, SUITS, null));
    assertChoice(KernelPath.MMA, "q is int4", KernelPath.choose(90, INT4, null));
    assertChoice(KernelPath.SIMPLE, "groups of 16", KernelPath.choose(90, NEITHER, null));
    assertChoice(KernelPath.SIMPLE, "sm_75", KernelPath.choose(75, SUITS, null));
  }

  @Test
  void aPathThatIsAskedForIsTakenOrRefused() {
    assertChoice(KernelPath.SIMPLE, "asks", KernelPath.choose(90, SUITS, "simple"));
    assertChoice(KernelPath.MMA, "asks", KernelPath.choose(90, SUITS, "mma"));
    assertChoice(KernelPath.HOPPER, "asks", KernelPath.choose(90, SUITS, "hopper"));
    for (MoontideException e :
        List.of(
            assertThrows(MoontideException.class, () -> KernelPath.choose(80, SUITS, "hopper")),
            assertThrows(MoontideException.class, () -> KernelPath.choose(90, INT4, "hopper")),
            assertThrows(MoontideException.class, () -> KernelPath.choose(90, NEITHER, "mma")),
            assertThrows(MoontideException.class, () -> KernelPath.choose(90, SUITS, "Hopper")))) {
      assertEquals(MoontideException.Category.CONFIGURATION, e.category());
    }
  }

  /** A matrix of zeros, stored in some way. */
  private record Stored(String name, int rows, int columns, Encoding encoding)
      implements MatrixSource {
    @Override
    public void read(int first, int count, float[] out, int offset) {
      throw new UnsupportedOperationException(name);
    }
  }

  private static Stored fp8(int rows, int columns) {
    return new Stored("w", rows, columns, new Encoding.BlockFp8(128, 128));
  }

  private static final Attention SHAPE = new Attention(64, 128, 64, 128, 512, 1, 1e-6f);

  private static String refusal(java.util.function.Consumer<HopperSizes> load) {
    HopperSizes sizes = new HopperSizes();
    load.accept(sizes);
    return sizes.refusal().orElse("");
  }

  @Test
  void whatTheKernelsDoNotTakeIsNamed() {
    assertEquals("", refusal(sizes -> sizes.matrix(fp8(300, 7))));
    assertEquals("", refusal(sizes -> sizes.latentProjection(fp8(16_384, 512), SHAPE)));
    Stored int4 = new Stored("down", 128, 128, new Encoding.GroupInt4(32));
    Stored bf16 = new Stored("gate", 128, 128, new Encoding.Bf16());
    assertTrue(refusal(s -> s.experts(List.of(stack(128)), List.of(int4))).startsWith("down is"));
    assertTrue(refusal(s -> s.matrix(bf16)).startsWith("gate is not FP8"));
    assertEquals("", refusal(s -> s.floatMatrix(bf16)));
    assertTrue(
        refusal(s -> s.floatMatrix(new Stored("gate", 8, 8, new Encoding.Numbers())))
            .startsWith("gate is not bf16"));
    Attention small = new Attention(4, 16, 8, 16, 32, 1, 1e-6f);
    assertTrue(refusal(s -> s.latentProjection(fp8(128, 32), small)).contains("kv_lora_rank 32"));
    assertTrue(
        refusal(
                s -> {
                  s.latentProjection(fp8(16_384, 512), SHAPE);
                  s.queryKeyValue(16, 7168, SHAPE.queryColumns(), 576);
                })
            .contains("q_lora_rank"));
  }

  private static MatrixSource stack(int rows) {
    return MatrixSource.stack("gateUp", List.of(fp8(rows, 128), fp8(rows, 128)));
  }

  @Test
  void whatTheMmaKernelsDoNotTakeIsNamed() {
    assertEquals(Optional.empty(), MmaKernels.refusal(fp8(300, 7)));
    assertEquals(Optional.empty(), MmaKernels.refusal(int4(64, 128)));
    assertEquals(Optional.empty(), MmaKernels.refusal(int4(48, 48)));
    RowMajorSizes sizes = new RowMajorSizes(KernelPath.MMA);
    sizes.matrix(MatrixSource.stack("gateUp", List.of(fp8(8, 128), int4(16, 128))));
    assertTrue(sizes.refusal().orElse("").contains("groups of 16"));
  }

  private static Stored int4(int group, int columns) {
    return new Stored("w", 8, columns, new Encoding.GroupInt4(group));
  }

  @Test
  void weightsAreWholeTilesInPairs() {
    TileLayout plain = TileLayout.stacked(WeightForm.FP8, fp8(300, 200));
    assertEquals(List.of(new TileLayout.Part(300, 0, 1, 4)), plain.parts());
    assertEquals(2, plain.kBlocks());
    assertEquals(4 * 2 * 16_384, plain.valueBytes());
    assertEquals(4 * 2 * 4, plain.scaleBytes());
    // q_a of 1,536 and kv_a of 576 rows: 12 and 5 row tiles, and one more.
    TileLayout stacked =
        TileLayout.stacked(
            WeightForm.FP8, MatrixSource.stack("a", List.of(fp8(1536, 7168), fp8(576, 7168))));
    assertEquals(
        List.of(new TileLayout.Part(1536, 0, 1, 12), new TileLayout.Part(576, 12, 1, 6)),
        stacked.parts());
    assertEquals(2112, stacked.paddedRows());
    // Rows of the second begin at a whole tile: 192 and 64 of nothing, then 576.
    TileLayout odd =
        TileLayout.stacked(
            WeightForm.FP8, MatrixSource.stack("a", List.of(fp8(192, 256), fp8(576, 256))));
    assertEquals(256 + 576, odd.paddedRows());
    assertEquals(8, odd.tiles());
    TileLayout gateUp = TileLayout.interleaved(stack(300));
    assertEquals(
        List.of(new TileLayout.Part(300, 0, 2, 3), new TileLayout.Part(300, 1, 2, 3)),
        gateUp.parts());
    assertEquals(6, gateUp.tiles());
    TileLayout head =
        TileLayout.stacked(WeightForm.BF16, new Stored("head", 129, 65, new Encoding.Bf16()));
    assertEquals(2, head.kBlocks());
    assertEquals(0, head.scaleBytes());
  }
}
