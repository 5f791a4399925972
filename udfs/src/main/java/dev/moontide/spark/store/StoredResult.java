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

import dev.moontide.api.DoubleList;
import dev.moontide.api.FinishReason;
import dev.moontide.api.FloatList;
import dev.moontide.api.GenerationResult;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/**
 * A finished result as bytes. Failures are not stored: they cost little, and another option may
 * mend them.
 *
 * @param promptTokens length of the prompt
 * @param outcome the answer, no {@link Outcome.Failure}
 */
record StoredResult(int promptTokens, Outcome outcome) {
  private static final int COMPLETION = 1;
  private static final int SCORES = 2;
  private static final int CHOICE = 3;

  /** The answer to the request {@code id}, whose prompt did not have to be computed. */
  GenerationResult answer(long id) {
    return new GenerationResult(id, promptTokens, promptTokens, outcome);
  }

  void write(DataOutputStream out) throws IOException {
    writeCount(out, promptTokens);
    if (outcome instanceof Outcome.Completion completion) {
      write(out, completion);
    } else if (outcome instanceof Outcome.Scores scores) {
      out.writeByte(SCORES);
      writeCount(out, scores.tokenLogprobs().size());
      for (int i = 0; i < scores.tokenLogprobs().size(); i++) {
        out.writeFloat(scores.tokenLogprobs().get(i));
      }
    } else if (outcome instanceof Outcome.Choice choice) {
      write(out, choice);
    } else {
      throw new IllegalArgumentException("a failure is not stored: " + outcome);
    }
  }

  private static void write(DataOutputStream out, Outcome.Completion completion)
      throws IOException {
    out.writeByte(COMPLETION);
    out.writeBoolean(completion.finishReason() == FinishReason.LENGTH);
    writeCount(out, completion.completionTokens());
    TokenIds tokens = completion.tokens();
    writeCount(out, tokens.length());
    for (int i = 0; i < tokens.length(); i++) {
      writeCount(out, tokens.get(i));
    }
    byte[] text = completion.text().getBytes(StandardCharsets.UTF_8);
    writeCount(out, text.length);
    out.write(text);
  }

  /** Most of a large set of choices have the probability 0, which is not written. */
  private static void write(DataOutputStream out, Outcome.Choice choice) throws IOException {
    out.writeByte(CHOICE);
    writeCount(out, choice.best());
    writeCount(out, choice.completionTokens());
    DoubleList probabilities = choice.probabilities();
    writeCount(out, probabilities.size());
    int skipped = 0;
    for (int i = 0; i < probabilities.size(); i++) {
      long bits = Double.doubleToRawLongBits(probabilities.get(i));
      if (bits == 0) {
        skipped++;
      } else {
        writeCount(out, skipped);
        out.writeLong(bits);
        skipped = 0;
      }
    }
    writeCount(out, skipped);
  }

  static StoredResult read(byte[] bytes) {
    try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
      int promptTokens = readCount(in);
      int kind = in.readByte();
      return new StoredResult(
          promptTokens,
          switch (kind) {
            case COMPLETION -> readCompletion(in);
            case SCORES -> readScores(in);
            case CHOICE -> readChoice(in);
            default -> throw new IOException("a stored result of the unknown kind " + kind);
          });
    } catch (IOException malformed) {
      throw new UncheckedIOException(malformed);
    }
  }

  private static Outcome readCompletion(DataInputStream in) throws IOException {
    FinishReason reason = in.readBoolean() ? FinishReason.LENGTH : FinishReason.STOP;
    int completionTokens = readCount(in);
    int[] tokens = new int[readCount(in)];
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = readCount(in);
    }
    byte[] text = in.readNBytes(readCount(in));
    return new Outcome.Completion(
        TokenIds.of(tokens), new String(text, StandardCharsets.UTF_8), reason, completionTokens);
  }

  private static Outcome readScores(DataInputStream in) throws IOException {
    float[] logprobs = new float[readCount(in)];
    for (int i = 0; i < logprobs.length; i++) {
      logprobs[i] = in.readFloat();
    }
    return new Outcome.Scores(FloatList.of(logprobs));
  }

  private static Outcome readChoice(DataInputStream in) throws IOException {
    int best = readCount(in);
    int completionTokens = readCount(in);
    double[] probabilities = new double[readCount(in)];
    for (int i = readCount(in); i < probabilities.length; i += 1 + readCount(in)) {
      probabilities[i] = in.readDouble();
    }
    return new Outcome.Choice(best, DoubleList.of(probabilities), completionTokens);
  }

  /** Writes a number that is not negative in 7 bits a byte, the lowest first. */
  private static void writeCount(DataOutputStream out, int count) throws IOException {
    int rest = count;
    while (rest > 0x7f) {
      out.writeByte(rest | 0x80);
      rest >>>= 7;
    }
    out.writeByte(rest);
  }

  private static int readCount(DataInputStream in) throws IOException {
    int count = 0;
    for (int shift = 0; ; shift += 7) {
      int bits = in.readByte();
      count |= (bits & 0x7f) << shift;
      if (bits >= 0) {
        return count;
      }
    }
  }
}
