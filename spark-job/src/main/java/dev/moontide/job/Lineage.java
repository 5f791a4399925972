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
import dev.moontide.checkpoint.CheckpointFingerprint;
import dev.moontide.spark.JobOptions;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * What an output was made of.
 *
 * @param parsed the job
 * @param given its options, as given
 * @param input what it read
 */
record Lineage(JobOptions parsed, Map<String, String> given, InputOptions input) {
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final List<String> TOKENIZER = List.of("tiktoken.model", "tokenizer_config.json");
  private static final List<String> TEMPLATE =
      List.of("chat_template.jinja", "tokenizer_config.json");

  /** The lineage, of a session of {@code sparkVersion}. */
  ObjectNode toJson(String sparkVersion) {
    ObjectNode lineage = JSON.createObjectNode();
    ObjectNode model = lineage.putObject("model");
    model.put("location", parsed.model().location());
    Path folder = Path.of(parsed.model().location());
    if (Files.isDirectory(folder)) {
      model.put("fingerprint", CheckpointFingerprint.of(folder));
      model.put("tokenizer", CheckpointFingerprint.of(folder, TOKENIZER));
      model.put("template", CheckpointFingerprint.of(folder, TEMPLATE));
    }
    lineage.set("options", JSON.valueToTree(given));
    lineage.put("options_hash", hash(lineage.get("options").toString()));
    lineage.set("input", JSON.valueToTree(input.paths()));
    input.where().ifPresent(where -> lineage.put("where", where));
    input.limit().ifPresent(limit -> lineage.put("limit", limit));
    ObjectNode versions = lineage.putObject("versions");
    versions.put("moontide", Version.current());
    versions.put("spark", sparkVersion);
    versions.put("java", Runtime.version().toString());
    return lineage;
  }

  private static String hash(String text) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] hash = digest.digest(text.getBytes(StandardCharsets.UTF_8));
      return "sha256:" + HexFormat.of().formatHex(hash);
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
