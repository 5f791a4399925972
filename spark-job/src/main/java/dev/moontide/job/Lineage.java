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
package dev.moontide.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.moontide.checkpoint.Sha256;
import dev.moontide.spark.ModelHashes;
import dev.moontide.spark.ModelOptions;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What an output was made of.
 *
 * @param model the checkpoint
 * @param given the job's options, as given
 * @param input what it read
 * @param where the condition its rows satisfied
 * @param limit how many rows it took at most
 */
record Lineage(
    ModelOptions model,
    Map<String, String> given,
    List<String> input,
    Optional<String> where,
    Optional<Integer> limit) {
  private static final ObjectMapper JSON = new ObjectMapper();

  static Lineage of(ModelOptions model, Map<String, String> given, InputOptions input) {
    return new Lineage(model, given, input.paths(), input.where(), input.limit());
  }

  /** The lineage, of a session of {@code sparkVersion}. */
  ObjectNode toJson(String sparkVersion) {
    ObjectNode lineage = JSON.createObjectNode();
    ObjectNode checkpoint = lineage.putObject("model");
    checkpoint.put("location", model.location());
    ModelHashes.of(model)
        .ifPresent(
            hashes -> {
              checkpoint.put("fingerprint", hashes.fingerprint());
              checkpoint.put("tokenizer", hashes.tokenizer());
              checkpoint.put("template", hashes.template());
            });
    lineage.set("options", JSON.valueToTree(given));
    lineage.put("options_hash", Sha256.of(lineage.get("options").toString()));
    lineage.set("input", JSON.valueToTree(input));
    where.ifPresent(condition -> lineage.put("where", condition));
    limit.ifPresent(rows -> lineage.put("limit", rows));
    ObjectNode versions = lineage.putObject("versions");
    versions.put("moontide", Version.current());
    versions.put("spark", sparkVersion);
    versions.put("java", Runtime.version().toString());
    return lineage;
  }
}
