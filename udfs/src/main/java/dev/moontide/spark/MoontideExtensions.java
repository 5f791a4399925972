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

import dev.moontide.spark.sql.AiFunctions;
import dev.moontide.spark.sql.CheckCalls;
import dev.moontide.spark.sql.ExtractCalls;
import dev.moontide.spark.sql.InferenceStrategy;
import dev.moontide.spark.sql.MaterializeOnce;
import dev.moontide.spark.sql.PushThroughInference;
import dev.moontide.spark.sql.ShareAnswers;
import dev.moontide.spark.sql.TransformStrategy;
import org.apache.spark.sql.SparkSessionExtensions;
import org.apache.spark.sql.SparkSessionExtensionsProvider;
import scala.runtime.BoxedUnit;

/**
 * The SQL functions {@code ai_gen}, {@code ai_classify}, {@code ai_query} and {@code ai_score}, for
 * a session with {@code spark.sql.extensions=dev.moontide.spark.MoontideExtensions}. Their options
 * are the session's {@code spark.moontide.*} and, before these, a call's own.
 */
public final class MoontideExtensions implements SparkSessionExtensionsProvider {
  private final Inference.Source source;

  /** With the engine of each executor. */
  public MoontideExtensions() {
    this(new EngineSource());
  }

  /** With another engine. */
  MoontideExtensions(Inference.Source source) {
    this.source = source;
  }

  @Override
  public BoxedUnit apply(SparkSessionExtensions extensions) {
    new AiFunctions(source).inject(extensions);
    extensions.injectCheckRule(session -> new CheckCalls());
    extensions.injectPlanNormalizationRule(session -> new ExtractCalls());
    extensions.injectPlanNormalizationRule(session -> new ShareAnswers());
    extensions.injectOptimizerRule(session -> new PushThroughInference(session.sparkContext()));
    extensions.injectPlannerStrategy(session -> new InferenceStrategy(session, source));
    extensions.injectPlannerStrategy(session -> new TransformStrategy());
    extensions.injectQueryStagePrepRule(session -> new MaterializeOnce());
    extensions.injectColumnar(session -> new MaterializeOnce.WithoutAdaptiveExecution());
    return BoxedUnit.UNIT;
  }
}
