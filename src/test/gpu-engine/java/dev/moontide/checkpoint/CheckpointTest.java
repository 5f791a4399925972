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
package dev.moontide.checkpoint;

import static dev.moontide.checkpoint.TestCheckpoint.messageOf;
import static dev.moontide.checkpoint.TestCheckpoint.writeRaw;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is wrong with a folder, each time the message a user would see. */
class CheckpointTest {
  private static final String A = "\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]";

  @TempDir Path folder;

  private String error() {
    return messageOf(() -> Checkpoint.open(folder)).replace(folder.toString(), "DIR");
  }

  private String headerError(String json, int data) throws IOException {
    writeRaw(folder.resolve("model.safetensors"), json, data);
    return error();
  }

  @ParameterizedTest
  @CsvSource({
    "micro-k2, 91",
    "micro-grouped, 151",
    "micro-int4, 259",
    "micro-k2dims-fp8, 69",
  })
  void opensOneFileAndShards(String model, int tensors) {
    Checkpoint checkpoint = Checkpoint.open(TestCheckpoint.fixture(model));
    assertEquals(tensors, checkpoint.names().size());
    assertTrue(checkpoint.contains("model.norm.weight"));
  }

  @Test
  void writesWhatItReads() throws IOException {
    TestCheckpoint.copyOf(TestCheckpoint.fixture("micro-int4")).write(folder);
    assertEquals(
        Checkpoint.open(TestCheckpoint.fixture("micro-int4")).tensors().stream()
            .map(tensor -> tensor.name() + tensor.type() + tensor.shape())
            .toList(),
        Checkpoint.open(folder).tensors().stream()
            .map(tensor -> tensor.name() + tensor.type() + tensor.shape())
            .toList());
  }

  @Test
  void aWriterThatIsClosedEarlyFails() throws IOException {
    SafetensorsWriter writer =
        SafetensorsWriter.create(
            folder.resolve("x.safetensors"),
            List.of(new SafetensorsWriter.Layout("a", StoredType.F32, List.of(2L, 3L))));
    writer.write(ByteBuffer.allocate(20));
    assertTrue(
        assertThrows(IOException.class, writer::close)
            .toString()
            .endsWith("4 bytes fewer than its header declares"));
  }

  @Test
  void aFolderWithoutWeightsSaysWhatItHolds() throws IOException {
    Files.writeString(folder.resolve("config.json"), "{}");
    assertEquals(
        "DIR: has neither model.safetensors.index.json nor model.safetensors; it holds:"
            + " config.json",
        error());
  }

  // ---- the file ------------------------------------------------------------------------------

  @Test
  void aFileTooShortForALength() throws IOException {
    Files.write(folder.resolve("model.safetensors"), new byte[5]);
    assertEquals(
        "DIR/model.safetensors: has 5 bytes, expected a safetensors file, which begins with the"
            + " 8-byte length of its header",
        error());
  }

  @ParameterizedTest
  @ValueSource(longs = {3, 100_000_001, 1L << 40, Long.MAX_VALUE, Long.MIN_VALUE, -1})
  void anAbsurdHeaderLength(long length) throws IOException {
    byte[] bytes = new byte[10];
    TestCheckpoint.little(bytes).putLong(length);
    Files.write(folder.resolve("model.safetensors"), bytes);
    assertEquals(
        "DIR/model.safetensors: the header claims %s bytes, but the file has 10 and a header at"
                .formatted(Long.toUnsignedString(length))
            + " most 100000000: it is truncated or no safetensors file",
        error());
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 100, 100_000})
  void aTruncatedFile(int missing) throws IOException {
    Path whole = TestCheckpoint.fixture("micro-grouped").resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(whole);
    Files.write(folder.resolve("model.safetensors"), Arrays.copyOf(bytes, bytes.length - missing));
    String message = error();
    assertTrue(message.contains("tensor lm_head.weight: data_offsets are ["), message);
    assertTrue(message.contains("it is truncated or its header wrong"), message);
  }

  // ---- the header ----------------------------------------------------------------------------

  @Test
  void headersThatAreNoJson() throws IOException {
    assertTrue(
        headerError("{\"a\":{", 0)
            .startsWith("DIR/model.safetensors: the header is not valid at character 6: "));
    assertTrue(headerError("", 0).endsWith("the header is not a JSON object"));
    assertTrue(headerError("[]", 0).endsWith("the header is not a JSON object"));
    assertTrue(headerError("{}{}", 0).endsWith("the header goes on after its JSON object"));
    assertTrue(headerError("{\"a\":NaN}", 0).contains("the header is not valid"));
    writeRaw(folder.resolve("model.safetensors"), "{\"__\":1}", 0);
    byte[] bytes = Files.readAllBytes(folder.resolve("model.safetensors"));
    bytes[11] = (byte) 0xff;
    Files.write(folder.resolve("model.safetensors"), bytes);
    assertEquals(
        "DIR/model.safetensors: cannot read the header:"
            + " java.nio.charset.MalformedInputException: Input length = 1",
        error());
  }

  @Test
  void duplicateKeys() throws IOException {
    String twice = "{\"a\":{%s},\"a\":{%s}}".formatted(A, A);
    String message = headerError(twice, 4);
    assertTrue(message.endsWith(": Duplicate field 'a'"), message);
    assertTrue(
        headerError("{\"a\":{\"dtype\":\"U8\"," + A + "}}", 4)
            .endsWith(": Duplicate field 'dtype'"));
    assertTrue(
        headerError("{\"__metadata__\":{\"x\":\"1\",\"x\":\"2\"}}", 0)
            .endsWith(": Duplicate field 'x'"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\u0000',
      value = {
        "{\"a\":1}" + "| a is not described by a JSON object with dtype, shape and data_offsets",
        "{\"a\":{}}| tensor a: expected dtype, shape and two data_offsets",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4]}}"
            + "| tensor a: expected dtype, shape and two data_offsets",
        "{\"a\":{\"dtype\":8,\"shape\":[4],\"data_offsets\":[0,4]}}"
            + "| tensor a: dtype is no string",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":4,\"data_offsets\":[0,4]}}"
            + "| tensor a: shape is no array",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[-4],\"data_offsets\":[0,4]}}"
            + "| tensor a: shape holds -4, expected integers from 0 to 2^63 - 1",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4.0],\"data_offsets\":[0,4]}}"
            + "| tensor a: shape holds 4.0, expected integers from 0 to 2^63 - 1",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[[4]],\"data_offsets\":[0,4]}}"
            + "| tensor a: shape holds [, expected integers from 0 to 2^63 - 1",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[18446744073709551616],\"data_offsets\":[0,4]}}"
            + "| tensor a: shape holds 18446744073709551616, expected integers from 0 to 2^63 - 1",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,4],\"data_offsets\":[0,4]}}"
            + "| tensor a: shape has more than 8 entries",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,8]}}"
            + "| tensor a: data_offsets has more than 2 entries",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"x\":[[]]}}"
            + "| tensor a: unknown key \"x\"",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[0,4]}}"
            + "| tensor a: data_offsets span 4 bytes, expected 5 for U8 [5]",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,4]}}"
            + "| tensor a: data_offsets span 4 bytes, expected 16 for F32 [4]",
        "{\"a\":{\"dtype\":\"F64\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}"
            + "| tensor a: data_offsets span 4 bytes, expected more than 2^63 for F64"
            + " [4294967296, 4294967296]",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]}}"
            + "| tensor a: data_offsets are [4, 0], expected them ascending and within the 4"
            + " bytes of data the file has: it is truncated or its header wrong",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[9223372036854775803,"
            + "9223372036854775807]}}"
            + "| tensor a: data_offsets are [9223372036854775803, 9223372036854775807], expected"
            + " them ascending and within the 4 bytes of data the file has: it is truncated or its"
            + " header wrong",
        "{\"__metadata__\":{\"x\":{}}}| __metadata__ of \"x\" is not a string",
        "{\"__metadata__\":[]}"
            + "| __metadata__ is not described by a JSON object with dtype, shape and data_offsets",
      })
  void wrongDescriptions(String json, String expected) throws IOException {
    assertEquals("DIR/model.safetensors: " + expected.strip(), headerError(json, 4));
  }

  @Test
  void anUnknownType() throws IOException {
    assertEquals(
        "DIR/model.safetensors: tensor a: dtype is F4, expected one of [BOOL, U8, I8, F8_E4M3,"
            + " F8_E5M2, F8_E8M0, I16, U16, F16, BF16, I32, U32, F32, I64, U64, F64]",
        headerError("{\"a\":{\"dtype\":\"F4\",\"shape\":[8],\"data_offsets\":[0,4]}}", 4));
  }

  @Test
  void overlapsHolesAndBytesLeftOver() throws IOException {
    String second = "{\"a\":{%s},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[%d,%d]}}";
    String overlap = second.formatted(A, 2, 6);
    assertEquals(
        "DIR/model.safetensors: tensor b begins at byte %d, but a ends at %d: they overlap"
            .formatted(8 + overlap.length() + 2, 8 + overlap.length() + 4),
        headerError(overlap, 6));
    String hole = second.formatted(A, 6, 10);
    assertEquals(
        "DIR/model.safetensors: bytes %d to %d, before tensor b, belong to no tensor"
            .formatted(8 + hole.length() + 4, 8 + hole.length() + 6),
        headerError(hole, 10));
    String header = "{\"a\":{%s}}".formatted(A);
    assertEquals(
        "DIR/model.safetensors: has %d bytes, but its tensors end at byte %d"
            .formatted(8 + header.length() + 5, 8 + header.length() + 4),
        headerError(header, 5));
  }

  @Test
  void emptyTensorsAndMetadataAreFine() throws IOException {
    writeRaw(
        folder.resolve("model.safetensors"),
        "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{%s},\"e\":{\"dtype\":\"F32\",\"shape\":[0,3],"
                .formatted(A)
            + "\"data_offsets\":[4,4]},\"s\":{\"dtype\":\"U8\",\"shape\":[],"
            + "\"data_offsets\":[4,5]}}  ",
        5);
    assertEquals(List.of("a", "e", "s"), List.copyOf(Checkpoint.open(folder).names()));
  }

  @Test
  void everyProblemOfAFileIsListedAndControlCharactersAreNot() throws IOException {
    assertEquals(
        """
        DIR: 2 problems
          DIR/model.safetensors: tensor a\ufffd[31m: data_offsets span 4 bytes, expected 8 for U16 [4]
          DIR/model.safetensors: tensor b: data_offsets are [5, 9], expected them ascending and \
        within the 4 bytes of data the file has: it is truncated or its header wrong""",
        headerError(
            "{\"a\\u001b[31m\":{\"dtype\":\"U16\",\"shape\":[4],\"data_offsets\":[0,4]},"
                + "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[5,9]}}",
            4));
  }

  // ---- the index -----------------------------------------------------------------------------

  private void index(String weightMap) throws IOException {
    Files.writeString(
        folder.resolve("model.safetensors.index.json"),
        "{\"metadata\":{\"total_size\":4},\"weight_map\":%s}".formatted(weightMap));
  }

  @Test
  void anIndexThatIsNone() throws IOException {
    String index = "DIR/model.safetensors.index.json: ";
    String expected = "expected an object \"weight_map\" from tensor names to file names";
    index("[]");
    assertEquals(index + expected, error());
    index("{}");
    assertEquals(index + expected, error());
    index("{\"a\":7}");
    assertEquals(index + "weight_map of a is no file name but VALUE_NUMBER_INT", error());
    index("{\"a\":\"x\",\"a\":\"y\"}");
    assertTrue(error().endsWith(": Duplicate field 'a'"));
    Files.writeString(folder.resolve("model.safetensors.index.json"), "[");
    assertEquals(index + "expected a JSON object", error());
    Files.writeString(folder.resolve("model.safetensors.index.json"), "[".repeat(100_000));
    assertEquals(index + "expected a JSON object", error());
    Files.writeString(
        folder.resolve("model.safetensors.index.json"), "{\"x\":" + "[".repeat(100_000));
    assertTrue(error().contains("nesting depth"), error());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../other.safetensors",
        "/etc/hostname",
        "a/../../x",
        ".",
        "",
        "x/..",
        "a\\u0000b"
      })
  void anIndexNamingAPathOutsideTheFolder(String path) throws IOException {
    index("{\"a\":\"%s\"}".formatted(path));
    assertEquals(
        "DIR/model.safetensors.index.json: names the file \"%s\", expected a file inside the folder"
            .formatted(path.replace("\\u0000", "\ufffd")),
        error());
  }

  @Test
  void aMissingShard() throws IOException {
    writeRaw(folder.resolve("m1.safetensors"), "{\"a\":{%s}}".formatted(A), 4);
    index("{\"a\":\"m1.safetensors\",\"b\":\"m2.safetensors\",\"c\":\"m2.safetensors\"}");
    assertEquals(
        "DIR/m2.safetensors: is missing, but model.safetensors.index.json places 2 tensors in it"
            + " (b …)",
        error());
  }

  @Test
  void indexAndShardsThatDisagree() throws IOException {
    writeRaw(folder.resolve("m1"), "{\"a\":{%s}}".formatted(A), 4);
    writeRaw(folder.resolve("m2"), "{\"x\":{%s}}".formatted(A), 4);
    writeRaw(folder.resolve("m3"), "{\"b\":{%s}}".formatted(A), 4);
    index("{\"a\":\"m1\",\"b\":\"m2\",\"c\":\"m3\"}");
    assertEquals(
        """
        DIR: 4 problems
          DIR/m2: holds tensor x, which model.safetensors.index.json does not list
          DIR/m2: lacks tensor b, which model.safetensors.index.json places in it
          DIR/m3: holds tensor b, which model.safetensors.index.json places in m2
          DIR/m3: lacks tensor c, which model.safetensors.index.json places in it""",
        error());
  }

  // ---- single tensors ------------------------------------------------------------------------

  @Test
  void tensorsOfAnotherShapeOrType() throws IOException {
    Path fixture = TestCheckpoint.fixture("micro-k2dims-fp8");
    Checkpoint checkpoint = Checkpoint.open(fixture);
    Quantization.BlockFp8 fp8 = new Quantization.BlockFp8(128, 128);
    String attention = "model.layers.0.self_attn.";
    assertEquals(
        fixture
            + ": tensor lm_head.weight is BF16 [300, 256], expected [BF16, F16, F32] [300, 128]",
        messageOf(() -> checkpoint.linear("lm_head.weight", 300, 128, fp8)));
    assertEquals(
        fixture + ": tensor lm_head.wait is missing, expected [BF16, F16, F32] [300, 256]",
        messageOf(() -> checkpoint.linear("lm_head.wait", 300, 256, fp8)));
    assertEquals(
        fixture + ": tensor model.norm.weight is BF16 [256], expected [BF16, F16, F32] [255]",
        messageOf(() -> checkpoint.vector("model.norm.weight", 255)));
    assertEquals(
        "%s: tensor %sq_a_proj.weight is F8_E4M3, but config.json has no quantization_config with"
                .formatted(fixture, attention)
            + " quant_method fp8",
        messageOf(
            () ->
                checkpoint.linear(
                    attention + "q_a_proj.weight", 192, 256, new Quantization.None())));
    assertEquals(
        "%s: tensor %sq_a_proj.weight_scale_inv is F32 [2, 2], expected [BF16, F16, F32] [3, 4]"
            .formatted(fixture, attention),
        messageOf(
            () ->
                checkpoint.linear(
                    attention + "q_a_proj.weight", 192, 256, new Quantization.BlockFp8(64, 64))));
    TestCheckpoint.copyOf(fixture)
        .remove(attention + "q_a_proj.weight_scale_inv")
        .put(attention + "q_b_proj.weight", StoredType.BF16, List.of(384L, 192L), new byte[147456])
        .write(folder);
    Checkpoint changed = Checkpoint.open(folder);
    assertEquals(
        "%s: tensor %sq_a_proj.weight_scale_inv is missing, expected [BF16, F16, F32] [2, 2]"
            .formatted(folder, attention),
        messageOf(() -> changed.linear(attention + "q_a_proj.weight", 192, 256, fp8)));
    assertEquals(
        "%s: tensor %sq_b_proj.weight is BF16, but has scales in %sq_b_proj.weight_scale_inv,"
                .formatted(folder, attention, attention)
            + " expected F8_E4M3",
        messageOf(() -> changed.linear(attention + "q_b_proj.weight", 384, 192, fp8)));
  }

  @Test
  void int4TensorsOfAnotherShapeOrType() throws IOException {
    Path fixture = TestCheckpoint.fixture("micro-int4");
    Checkpoint checkpoint = Checkpoint.open(fixture);
    String name = "model.layers.1.mlp.experts.0.gate_proj.weight";
    Quantization.PackedInt4 int4 = new Quantization.PackedInt4(32);
    assertEquals(
        "%s: tensor %s_packed is packed INT4, but config.json has no quantization_config with"
                .formatted(fixture, name)
            + " format pack-quantized",
        messageOf(() -> checkpoint.linear(name, 64, 64, new Quantization.None())));
    assertEquals(
        "%s: tensor %s_packed is I32 [64, 8], expected [I32] [64, 9]".formatted(fixture, name),
        messageOf(() -> checkpoint.linear(name, 64, 72, int4)));
    assertEquals(
        "%s: tensor %s_packed has rows of 60 weights, expected a multiple of 8"
            .formatted(fixture, name),
        messageOf(() -> checkpoint.linear(name, 64, 60, int4)));
    assertEquals(
        "%s: tensor %s_scale is BF16 [64, 2], expected [BF16, F16, F32] [64, 1]"
            .formatted(fixture, name),
        messageOf(() -> checkpoint.linear(name, 64, 64, new Quantization.PackedInt4(64))));
    TestCheckpoint.copyOf(fixture)
        .put(name, StoredType.BF16, List.of(64L, 64L), new byte[8192])
        .write(folder);
    assertEquals(
        "%s: holds both tensor %s and %s_packed, expected one of them"
            .formatted(folder, name, name),
        messageOf(() -> Checkpoint.open(folder).linear(name, 64, 64, int4)));
  }
}
