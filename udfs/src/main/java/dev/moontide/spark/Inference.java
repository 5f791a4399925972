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

import dev.moontide.api.GenerationRequest;
import dev.moontide.api.TokenIds;
import dev.moontide.engine.ResultStream;
import dev.moontide.spark.store.RequestKeys;
import java.io.Serializable;
import java.util.Iterator;
import java.util.function.Function;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructType;

/**
 * What a task computes with: how a row becomes a request, and what answers requests.
 *
 * @param prompter makes a row's request
 * @param engine answers requests as {@link dev.moontide.engine.Engine#generate} does
 */
public record Inference(
    Prompter prompter, Function<Iterator<GenerationRequest>, ResultStream> engine) {
  /** Makes a row's request. */
  public interface Prompter {
    /**
     * The request for {@code row}, with the number {@code id}.
     *
     * @throws dev.moontide.api.MoontideException of category row if the row has none
     */
    GenerationRequest request(long id, InternalRow row);

    /**
     * How many of {@code prompt}'s first tokens the job's prompts have in common, which an engine
     * therefore computes once: a number that depends on the prompt and the options alone.
     */
    default int cachedTokens(TokenIds prompt) {
      return 0;
    }
  }

  /** Opens what a task computes with, on its executor. */
  public interface Source extends Serializable {
    /**
     * Fails, on the driver and before any weights are read, where the options contradict the
     * checkpoint.
     *
     * @param isLocal whether the driver is the executor, so that it must see the checkpoint
     */
    default void check(JobOptions options, StructType schema, boolean isLocal) {}

    Inference open(JobOptions options, StructType schema);

    /** The keys of finished results, on an executor. */
    RequestKeys keys(JobOptions options);
  }
}
