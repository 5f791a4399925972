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
package dev.moontide.spark.store;

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.checkpoint.Sha256;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.DigestException;
import java.security.MessageDigest;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;

/**
 * Makes the keys of requests: hashes of the model, how it is computed, the prompt's tokens and what
 * is asked, and of nothing that does not show in the answer. A greedy answer does not depend on the
 * seed or the row; of the model's length only what it leaves to the output counts. For one thread.
 */
public final class RequestKeys {
  /** Raised when equal requests give other bits than before, or keys are made otherwise. */
  private static final int VERSION = 1;

  private final byte[] scope;
  private final int maxModelLength;
  private final MessageDigest sha = Sha256.digest();
  private final byte[] hash = new byte[32];
  private ByteBuffer content = ByteBuffer.allocate(1024);

  /** What was last described, by identity: all rows of a job ask with the same parameters. */
  private @Nullable Object described;

  private byte[] description = {};

  /**
   * @param model identifies the model and how it is computed: equal strings promise equal bits
   * @param maxModelLength longest prompt and output together, in tokens
   */
  public RequestKeys(String model, int maxModelLength) {
    this.scope = Sha256.digest().digest((VERSION + " " + model).getBytes(StandardCharsets.UTF_8));
    this.maxModelLength = maxModelLength;
  }

  /** Names the model in the names of files, so that another model's are not read: 16 letters. */
  String scopeName() {
    return HexFormat.of().formatHex(scope, 0, 8);
  }

  RequestKey of(GenerationRequest request) {
    TokenIds prompt = request.prompt();
    startContent(64 + Integer.BYTES * prompt.length());
    describe(request.objective(), prompt.length());
    for (int i = 0; i < prompt.length(); i++) {
      content.putInt(prompt.get(i));
    }
    sha.update(scope);
    sha.update(description);
    sha.update(content.array(), 0, content.position());
    try {
      sha.digest(hash, 0, hash.length);
    } catch (DigestException impossible) {
      throw new IllegalStateException(impossible);
    }
    ByteBuffer key = ByteBuffer.wrap(hash);
    return new RequestKey(key.getLong(), key.getLong());
  }

  private void startContent(int bytes) {
    if (content.capacity() < bytes) {
      content = ByteBuffer.allocate(2 * bytes);
    }
    content.clear();
  }

  @SuppressWarnings("ReferenceEquality") // comparing 150 labels would cost
  private void describe(Objective objective, int promptTokens) {
    if (objective instanceof Objective.Sample sample) {
      SamplingParameters parameters = sample.parameters();
      if (described != parameters) {
        description = description(parameters);
        described = parameters;
      }
      content.putInt(Math.min(parameters.maxTokens(), maxModelLength - promptTokens));
      if (!parameters.isGreedy()) {
        content.putLong(parameters.seed());
        content.putLong(sample.rowKey());
        content.putInt(sample.sampleIndex());
      }
    } else if (objective instanceof Objective.Choose choose) {
      if (described != choose.choices()) {
        description = description(choose.choices());
        described = choose.choices();
      }
      content.putDouble(choose.tolerance());
    } else if (!objective.equals(described)) {
      description = Sha256.digest().digest(objective.toString().getBytes(StandardCharsets.UTF_8));
      described = objective;
    }
  }

  private static byte[] description(SamplingParameters parameters) {
    return describe(
        out -> {
          out.writeByte(1);
          out.writeDouble(parameters.temperature());
          out.writeInt(parameters.topK());
          out.writeDouble(parameters.topP());
          out.writeDouble(parameters.minP());
          out.writeDouble(parameters.presencePenalty());
          out.writeDouble(parameters.frequencyPenalty());
          out.writeDouble(parameters.repetitionPenalty());
          out.writeInt(parameters.stop().size());
          for (String stop : parameters.stop()) {
            text(out, stop);
          }
          out.writeInt(parameters.stopTokenIds().size());
          for (int id : parameters.stopTokenIds()) {
            out.writeInt(id);
          }
          out.writeBoolean(parameters.ignoreEos());
          // Last, so that keys without it are those of versions that did not know it.
          if (parameters.allowedTokenIds() != null) {
            text(out, parameters.allowedTokenIds().toString());
          }
        });
  }

  private static byte[] description(ChoiceSet choices) {
    return describe(
        out -> {
          out.writeByte(2);
          out.writeInt(choices.size());
          for (int i = 0; i < choices.size(); i++) {
            text(out, choices.names().get(i));
            TokenIds tokens = choices.tokens().get(i);
            out.writeInt(tokens.length());
            for (int t = 0; t < tokens.length(); t++) {
              out.writeInt(tokens.get(t));
            }
          }
        });
  }

  private static void text(DataOutputStream out, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    out.writeInt(bytes.length);
    out.write(bytes);
  }

  private interface Description {
    void write(DataOutputStream out) throws IOException;
  }

  private static byte[] describe(Description description) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try {
      description.write(new DataOutputStream(bytes));
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
    return Sha256.digest().digest(bytes.toByteArray());
  }
}
