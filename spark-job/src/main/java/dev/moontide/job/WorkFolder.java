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

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.moontide.api.MoontideException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The folder a job works in, {@code _NAME.moontide} beside its output {@code NAME} (Spark's readers
 * pass over names that begin so):
 *
 * <ul>
 *   <li>{@code results/}: finished results, which stay for the next run,
 *   <li>{@code job.json}: what the last run was made of,
 *   <li>{@code output/}: the output until it is whole, when it takes its place in one step,
 *   <li>{@code unordered/}: the rows in the order they were finished, before they are put in order.
 * </ul>
 *
 * On an object store, where a folder cannot be renamed in one step, Spark's committer writes to the
 * output's own place. Whatever the file system, {@code _SUCCESS} is the last file of an output, and
 * {@code writing} is here from before its first file is in its place until after that: what is
 * there with this file and without that one is no output.
 */
final class WorkFolder {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int SHOWN = 60;
  private static final String WRITING = "writing";
  private static final String SUCCESS = "_SUCCESS";

  private final StoredFiles files;
  private final OutputTarget output;
  private final boolean renames;
  private final String folder;

  WorkFolder(StoredFiles files, OutputTarget output) {
    this.files = files;
    this.output = output;
    this.renames = files.renames(output.path());
    this.folder = files.sibling(output.path(), name -> "_" + name + ".moontide");
  }

  /** Where finished results are kept. */
  String results() {
    return folder + "/results";
  }

  /** Where to write the output. */
  String staged() {
    return renames ? folder + "/output" : output.path();
  }

  /** Where to write rows that are yet to be put in order. */
  String unordered() {
    return folder + "/unordered";
  }

  /** Whether what is at the output's place is no output, but what a run left that was killed. */
  boolean isHalfWritten() {
    return files.exists(folder + "/" + WRITING) && !files.exists(output.path() + "/" + SUCCESS);
  }

  /** From here on what is at the output's place is not whole. */
  private void startWriting() {
    files.write(folder, WRITING, "");
    files.delete(output.path() + "/" + SUCCESS);
  }

  /**
   * Makes ready for a run: clears what an unfinished one left, but for its results where the job
   * resumes.
   *
   * @param lineage what this run is made of
   * @return what to tell of the results that are there, if any are
   */
  Optional<String> open(JsonNode lineage) {
    if (isHalfWritten()) {
      files.delete(output.path());
    }
    files.delete(unordered());
    if (renames) {
      files.delete(staged());
    } else {
      startWriting();
    }
    if (!output.resume()) {
      files.delete(results());
    }
    Optional<String> told =
        files.exists(results())
            ? files.read(folder + "/job.json").map(text -> tell(parse(text), lineage))
            : Optional.empty();
    try {
      files.write(folder, "job.json", lineage.toPrettyString() + "\n");
    } catch (UncheckedIOException failed) {
      FullDisk.check(failed, folder);
      throw new MoontideException(
          MoontideException.Category.CONFIGURATION,
          "--output %s cannot be written: %s".formatted(output.path(), Failures.message(failed)),
          failed);
    }
    return told;
  }

  private JsonNode parse(String text) {
    try {
      return JSON.readTree(text);
    } catch (JsonProcessingException torn) {
      return JSON.createObjectNode();
    }
  }

  private String tell(JsonNode before, JsonNode now) {
    List<String> changes = new ArrayList<>();
    if (!before.at("/model/fingerprint").equals(now.at("/model/fingerprint"))) {
      changes.add("the model's files");
    }
    Set<String> names = new LinkedHashSet<>();
    before.path("options").fieldNames().forEachRemaining(names::add);
    now.path("options").fieldNames().forEachRemaining(names::add);
    for (String name : names) {
      JsonNode old = before.path("options").path(name);
      JsonNode young = now.path("options").path(name);
      if (!old.equals(young)) {
        changes.add("--%s (%s, now %s)".formatted(name, shown(old), shown(young)));
      }
    }
    if (!before.path("versions").equals(now.path("versions"))) {
      changes.add("the version of Moontide, Spark or Java");
    }
    return changes.isEmpty()
        ? "going on from the finished results in " + results()
        : "there are finished results in %s, since which this changed: %s; a row is computed again where that changes what is asked of the model"
            .formatted(results(), String.join(", ", changes));
  }

  private static String shown(JsonNode value) {
    String text = value.isMissingNode() ? "not given" : value.asText();
    return text.length() <= SHOWN ? text : text.substring(0, SHOWN) + "…";
  }

  /** Puts the whole output, which is at {@link #staged}, in its place with its summary. */
  void commit(String summary) {
    files.write(staged() + "/_moontide", "summary.json", summary);
    String replaced = folder + "/replaced";
    if (renames) {
      files.delete(replaced);
      startWriting();
      try {
        if (files.exists(output.path())) {
          files.rename(output.path(), replaced);
        }
        files.rename(staged(), output.path());
      } catch (RuntimeException failed) {
        throw new MoontideException(
            MoontideException.Category.ENGINE,
            "all rows are computed, but their folder %s cannot be moved to %s: %s; run the job again, which goes on from its finished results"
                .formatted(staged(), output.path(), Failures.message(failed)),
            failed);
      }
    }
    files.write(output.path(), SUCCESS, "");
    files.delete(folder + "/" + WRITING);
    files.delete(replaced);
    files.delete(unordered());
  }
}
