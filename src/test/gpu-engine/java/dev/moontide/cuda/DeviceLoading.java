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

import dev.moontide.checkpoint.Checkpoint;
import dev.moontide.checkpoint.SafetensorsWriter;
import dev.moontide.checkpoint.SafetensorsWriter.Layout;
import dev.moontide.checkpoint.StoredType;
import dev.moontide.model.ExpectedTensor;
import dev.moontide.model.LoadedWeights;
import dev.moontide.model.ModelConfig;
import dev.moontide.model.ModelWeights;
import dev.moontide.model.TensorInventory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * How fast an FP8 checkpoint goes from the page cache to this machine's GPU, beside what the way
 * there carries: copies from pinned memory alone, and reads into it alone. Arguments: a folder for
 * the checkpoint, which is written if it is not there, and the number of its experts (44 MB each).
 */
public final class DeviceLoading {
  private static final int LOADS = 4;
  private static final long COPIED_BYTES = 8L << 30;
  private static final byte[] BYTES = bytes();

  private DeviceLoading() {}

  /** FP8 codes without NaN; as scales and bf16 small numbers, all finite. */
  private static byte[] bytes() {
    byte[] bytes = new byte[(8 << 20) + 4096];
    new Random(1).nextBytes(bytes);
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] &= (byte) 0xb7;
    }
    return bytes;
  }

  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    write(folder, Integer.parseInt(arguments[1]));
    ModelConfig config = ModelConfig.load(folder);
    Checkpoint checkpoint = Checkpoint.open(folder);
    HopperSizes hopper = new HopperSizes();
    RowMajorSizes mma = new RowMajorSizes(KernelPath.MMA);
    ModelWeights.load(checkpoint, config, hopper, 1);
    ModelWeights.load(checkpoint, config, mma, 1);
    KernelPath path;
    double copyRate;
    try (CudaDevice device = CudaDevice.open(0)) {
      path =
          KernelPath.choose(device, new KernelPath.Refusals(mma.refusal(), hopper.refusal()))
              .path();
      copyRate = copyRate(device);
    }
    DeviceSizes sizes = DeviceSizes.of(path);
    ModelWeights.load(checkpoint, config, sizes, 1);
    int threads = Runtime.getRuntime().availableProcessors();
    print("pinned copies: %.1f GB/s", copyRate);
    print("reads into memory, %d threads: %.1f GB/s", threads, readRate(folder, threads));
    for (int run = 0; run < LOADS; run++) {
      try (CudaOps ops = CudaOps.create(CudaDevice.open(0), path, sizes.needs())) {
        long start = System.nanoTime();
        LoadedWeights loaded = ModelWeights.load(checkpoint, config, ops, threads);
        ops.begin();
        double rate = loaded.bytes() / ((System.nanoTime() - start) / 1e9) / 1e9;
        print(
            "%s, %s, to its end %.1f GB/s: %.2f of the copies",
            path, loaded.summary(), rate, rate / copyRate);
      }
    }
  }

  private static void print(String format, Object... values) {
    System.out.println(String.format(Locale.ROOT, format, values));
  }

  /** GB/s of copies of staging buffers, one after the other. */
  private static double copyRate(CudaDevice device) {
    device.bind();
    int bytes = Staging.BUFFER_BYTES;
    try (Owned owned = new Owned()) {
      CudaStream stream = owned.add(new CudaStream("copies"));
      DeviceBuffer to = owned.add(DeviceBuffer.allocate(device, bytes, "copies"));
      List<PinnedBuffer> from = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        from.add(owned.add(new PinnedBuffer(bytes, "copies")));
      }
      double best = 0;
      for (int run = 0; run < 3; run++) {
        stream.synchronise();
        long start = System.nanoTime();
        for (int i = 0; i < COPIED_BYTES / bytes; i++) {
          stream.upload(to, 0, from.get(i % from.size()), bytes);
        }
        stream.synchronise();
        best = Math.max(best, COPIED_BYTES / ((System.nanoTime() - start) / 1e9) / 1e9);
      }
      return best;
    }
  }

  /** GB/s of reading the checkpoint's first file with as many threads, from the page cache. */
  private static double readRate(Path folder, int threads) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try (FileChannel channel = FileChannel.open(folder.resolve("model.safetensors"))) {
      long share = channel.size() / threads;
      double best = 0;
      for (int run = 0; run < 3; run++) {
        List<Callable<Long>> reads = new ArrayList<>();
        for (int t = 0; t < threads; t++) {
          long from = t * share;
          reads.add(() -> read(channel, from, share));
        }
        long start = System.nanoTime();
        for (Future<Long> read : pool.invokeAll(reads)) {
          read.get();
        }
        best = Math.max(best, share * threads / ((System.nanoTime() - start) / 1e9) / 1e9);
      }
      return best;
    } finally {
      pool.shutdown();
    }
  }

  private static long read(FileChannel channel, long from, long count) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocateDirect(Staging.BUFFER_BYTES);
    long done = 0;
    while (done < count) {
      buffer.clear();
      done += channel.read(buffer, from + done);
    }
    return done;
  }

  // ---- the checkpoint ------------------------------------------------------------------------

  private static void write(Path folder, int experts) throws IOException {
    Path file = folder.resolve("model.safetensors");
    if (Files.exists(file)) {
      return;
    }
    Files.createDirectories(folder);
    Files.writeString(folder.resolve(ModelConfig.FILE), config(experts));
    List<Layout> tensors = new ArrayList<>();
    for (ExpectedTensor tensor : TensorInventory.of(ModelConfig.load(folder)).tensors()) {
      boolean isFp8 =
          switch (tensor.kind()) {
            case LINEAR, EXPERT -> !tensor.name().startsWith("lm_head");
            case VECTOR, TABLE, FLOAT_MATRIX -> false;
          };
      if (isFp8) {
        tensors.add(new Layout(tensor.name(), StoredType.F8_E4M3, tensor.shape()));
        List<Long> blocks = tensor.shape().stream().map(size -> (size + 127) / 128).toList();
        tensors.add(new Layout(tensor.name() + "_scale_inv", StoredType.F32, blocks));
      } else {
        tensors.add(new Layout(tensor.name(), StoredType.BF16, tensor.shape()));
      }
    }
    long start = System.nanoTime();
    long left = tensors.stream().mapToLong(Layout::bytes).sum();
    ByteBuffer bytes = ByteBuffer.allocateDirect(BYTES.length).put(BYTES);
    try (SafetensorsWriter writer = SafetensorsWriter.create(file, tensors)) {
      while (left > 0) {
        int count = (int) Math.min(left, BYTES.length);
        writer.write(bytes.clear().limit(count));
        left -= count;
      }
    }
    print("wrote %.2f GB in %.1f s", Files.size(file) / 1e9, (System.nanoTime() - start) / 1e9);
  }

  /** Kimi-K2's dimensions with a dense layer, one of experts and a vocabulary of a fifth. */
  private static String config(int experts) {
    return """
    {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "kimi_k2", "hidden_size": 7168,
     "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 2,
     "num_attention_heads": 64, "num_key_value_heads": 64, "n_shared_experts": 1,
     "n_routed_experts": %d, "num_experts_per_tok": 8, "routed_scaling_factor": 2.827,
     "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64, "v_head_dim": 128,
     "qk_nope_head_dim": 128, "topk_method": "noaux_tc", "n_group": 1, "topk_group": 1,
     "moe_layer_freq": 1, "first_k_dense_replace": 1, "norm_topk_prob": true,
     "scoring_func": "sigmoid", "hidden_act": "silu", "rms_norm_eps": 1e-06,
     "rope_theta": 50000.0, "max_position_embeddings": 4096, "vocab_size": 32768,
     "tie_word_embeddings": false, "attention_bias": false, "num_nextn_predict_layers": 0,
     "bos_token_id": 1, "eos_token_id": 2, "quantization_config": {"quant_method": "fp8",
     "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}}
    """
        .formatted(experts);
  }
}
