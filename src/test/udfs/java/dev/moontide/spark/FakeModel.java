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
package dev.moontide.spark;

import dev.moontide.api.ChoiceSet;
import dev.moontide.api.DoubleList;
import dev.moontide.api.FinishReason;
import dev.moontide.api.FloatList;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.MoontideException;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.TokenIds;
import dev.moontide.spark.store.RequestKeys;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.StructType;

/**
 * A model whose tokens are characters: it answers a prompt in capitals, takes the first label the
 * text begins with or else the last, and gives each token the log-probability -1; what begins with
 * an exclamation mark it refuses. It counts its prompts, for all tasks of the JVM.
 */
final class FakeModel implements Inference.Source {
  private static final long serialVersionUID = 1L;
  private static final Map<String, Integer> PROMPTS = new ConcurrentHashMap<>();

  /** How often each prompt came since the last call; one that is chosen from begins with "?". */
  static Map<String, Integer> takePrompts() {
    Map<String, Integer> prompts = new TreeMap<>(PROMPTS);
    PROMPTS.clear();
    return prompts;
  }

  @Override
  public Inference open(JobOptions options, StructType schema) {
    return new Inference(
        (id, row) -> request(options, schema, id, row), new FakeEngine(8, FakeModel::answer));
  }

  @Override
  public RequestKeys keys(JobOptions options) {
    return new RequestKeys("fake", 1000);
  }

  private static GenerationRequest request(
      JobOptions options, StructType schema, long id, InternalRow row) {
    int column =
        options.prompt().source() instanceof PromptOptions.Source.Text source
            ? schema.fieldIndex(source.column())
            : 0;
    String text = row.getUTF8String(column).toString();
    if (text.startsWith("#")) {
      throw MoontideException.row("%s cannot be asked", text);
    }
    if (options.prompt().continuation() != null) {
      String continuation = row.getUTF8String(1).toString();
      return new GenerationRequest(
          id, tokens(text + continuation), new Objective.Score(text.length()));
    }
    if (options.choices() == null) {
      return new GenerationRequest(
          id, tokens(text), new Objective.Sample(options.sampling(), 0, 0));
    }
    return new GenerationRequest(
        id, tokens("?" + text), new Objective.Choose(choices(options, schema, row), 0));
  }

  private static ChoiceSet choices(JobOptions options, StructType schema, InternalRow row) {
    List<String> names = new ArrayList<>();
    if (options.choices() != null
        && options.choices().source() instanceof ChoiceOptions.Source.Fixed fixed) {
      names.addAll(fixed.names());
    } else {
      ArrayData labels = row.getArray(schema.fieldIndex("labels"));
      for (int i = 0; i < labels.numElements(); i++) {
        names.add(labels.getUTF8String(i).toString());
      }
    }
    return new ChoiceSet(names, names.stream().map(FakeModel::tokens).toList());
  }

  private static TokenIds tokens(String text) {
    return TokenIds.of(text.chars().toArray());
  }

  private static Outcome answer(GenerationRequest request) {
    TokenIds prompt = request.prompt();
    String text = new String(prompt.toArray(), 0, prompt.length());
    PROMPTS.merge(text, 1, Integer::sum);
    if (text.startsWith("!")) {
      return new Outcome.Failure("an exclamation");
    }
    if (request.objective() instanceof Objective.Score score) {
      float[] logprobs = new float[prompt.length() - score.from()];
      Arrays.fill(logprobs, -1);
      return new Outcome.Scores(FloatList.of(logprobs));
    }
    if (request.objective() instanceof Objective.Choose choose) {
      List<String> names = choose.choices().names();
      int best = names.size() - 1;
      for (int i = names.size() - 1; i >= 0; i--) {
        best = text.startsWith("?" + names.get(i)) ? i : best;
      }
      return new Outcome.Choice(best, DoubleList.of(new double[names.size()]), 1);
    }
    return new Outcome.Completion(
        prompt, text.toUpperCase(Locale.ROOT), FinishReason.STOP, prompt.length());
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof FakeModel;
  }

  @Override
  public int hashCode() {
    return FakeModel.class.hashCode();
  }
}
