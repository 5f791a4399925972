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

import dev.moontide.api.MoontideException;
import dev.moontide.api.SamplingParameters;
import java.io.Serializable;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.jspecify.annotations.Nullable;

/**
 * What a job does, parsed and validated once on the driver; this alone is shipped to executors.
 *
 * @param task what is asked of each row
 * @param model the checkpoint and how the engine runs it
 * @param prompt where a row's prompt comes from
 * @param sampling how tokens are drawn; unused where the answer is a choice or a score
 * @param choices the closed set the answer is taken from, if there is one
 * @param output columns of the output
 * @param resources the executors that compute; null for the application's
 */
public record JobOptions(
    Task task,
    ModelOptions model,
    PromptOptions prompt,
    SamplingParameters sampling,
    @Nullable ChoiceOptions choices,
    OutputOptions output,
    @Nullable EngineResources resources)
    implements Serializable {

  /** What is asked of each row. */
  public enum Task {
    /** A continuation, or one of the choices where there are any. */
    GENERATE,
    /** One of a closed set of labels, with the probability of each. */
    LABEL,
    /** The log-probability of the prompt itself. */
    SCORE
  }

  public JobOptions {
    if (task == Task.LABEL && choices == null) {
      throw MoontideException.configuration(
          "labels is not given: task label needs the closed set of labels, as labels, labels-file"
              + " or choices-column");
    }
    if (task == Task.SCORE && choices != null) {
      throw MoontideException.configuration(
          "choices are given with task score: allowed is with label and generate");
    }
    if (task != Task.SCORE && prompt.continuation() != null) {
      throw MoontideException.configuration(
          "continuation-column is %s with task %s: allowed is with score",
          prompt.continuation(), OptionMap.nameOf(task));
    }
    if (task != Task.LABEL && output.truthColumn() != null) {
      throw MoontideException.configuration(
          "truth-column is %s with task %s: allowed is with label",
          output.truthColumn(), OptionMap.nameOf(task));
    }
  }

  /**
   * The same with the model as the executors of an application have it: where they find it, and
   * with the options of the engine that the application's configuration says.
   *
   * @throws MoontideException of category configuration if it says others for this model
   */
  public JobOptions onExecutorsOf(SparkContext context) {
    return new JobOptions(
        task,
        ApplicationEngine.serving(model.onExecutorsOf(context), context),
        prompt,
        sampling,
        choices,
        output,
        resources);
  }

  /**
   * Reads options as they are written on a command line, in a YAML file or as {@code
   * spark.moontide.*}: names in any of kebab-case, camelCase or snake_case ({@link #names} lists
   * them), values as text. A list ({@code labels}, {@code stop}, {@code stop-token-ids}, {@code
   * allowed-token-ids}) is a JSON array; all but {@code stop} may also be separated by commas, and
   * a {@code stop} that is not a JSON array is one string.
   *
   * @throws MoontideException of category configuration, naming the option, its value and what is
   *     allowed
   */
  public static JobOptions fromMap(Map<String, String> options) {
    return OptionReader.read(options);
  }

  /** Every option {@link #fromMap} knows, in kebab-case. */
  public static List<String> names() {
    return OptionReader.NAMES;
  }
}
