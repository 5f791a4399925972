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

import dev.moontide.api.EngineOptions;
import dev.moontide.api.MoontideException;
import java.nio.file.Path;
import java.util.Map;
import org.apache.spark.SparkContext;

/**
 * The engine of an application's executors. As the size of their memory, its options are said by
 * the configuration an application starts with: the plugin may have loaded it, and one that differs
 * in any of them would be a second one beside it.
 */
final class ApplicationEngine {
  private ApplicationEngine() {}

  /**
   * What serves {@code asked} on the executors of an application. Options that it leaves at their
   * defaults are those of the application's configuration.
   *
   * @throws MoontideException of category configuration if the configuration names this model, and
   *     {@code asked} has another value for an option
   */
  static ModelOptions serving(ModelOptions asked, SparkContext context) {
    SessionOptions application = SessionOptions.of(context.getConf());
    Map<String, String> given = asked.toMap();
    given.entrySet().removeAll(EngineOptions.of(Path.of("")).byName().entrySet());
    ModelOptions serving = ModelOptions.fromMap(application.beneath(given));
    application
        .model()
        .map(model -> model.onExecutorsOf(context))
        .filter(model -> model.location().equals(serving.location()) && !model.equals(serving))
        .ifPresent(
            model -> {
              throw MoontideException.configuration(
                  "the engine of %s has the options that this application started with: %s; leave"
                      + " it out, or start the application with it as spark.moontide.*",
                  model.location(), EngineOptions.differences(serving.toMap(), model.toMap()));
            });
    return serving;
  }
}
