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

import dev.moontide.api.MoontideException;
import dev.moontide.spark.CallMetrics;
import dev.moontide.spark.JobMetrics;
import dev.moontide.spark.ModelOptions;
import dev.moontide.spark.SessionStore;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.command.ExplainCommand;

/** Runs a statement with the SQL functions over files. */
final class SqlCommand implements Command {
  private static final CommandOption STATEMENT =
      CommandOption.one("statement", "SQL", "The statement, if it is not typed on its own.");

  private static final OptionGroup INPUT =
      new OptionGroup(
          "Input",
          List.of(
              STATEMENT,
              CommandOption.each(
                  "view", "NAME=PATH", "A table of the statement: files, a folder or a glob."),
              CommandOption.one(
                  "input-format",
                  "FORMAT",
                  "jsonl, csv, parquet, text, orc or any Spark source. Default: by extension."),
              CommandOption.many("input-option", "K=V", "Options of Spark's reader, e.g. sep=;.")));

  private static final OptionGroup PROMPT =
      OptionGroup.PROMPT.only("system", "chat", "raw", "on-long-prompt");

  private static final OptionGroup OUTPUT =
      OptionGroup.OUTPUT.only("output", "output-format", "output-option", "overwrite", "no-resume");

  @Override
  public String name() {
    return "sql";
  }

  @Override
  public String description() {
    return "Runs an SQL statement in which the model answers: ai_gen, ai_classify, ai_query,"
        + " ai_score.";
  }

  @Override
  public List<OptionGroup> options() {
    return List.of(
        OptionGroup.MODEL,
        INPUT,
        PROMPT,
        OptionGroup.SAMPLING,
        OUTPUT,
        OptionGroup.ENGINE,
        OptionGroup.COMMON);
  }

  @Override
  public Optional<CommandOption> operand() {
    return Optional.of(STATEMENT);
  }

  @Override
  public List<String> notes() {
    return List.of(
        "Without --output the rows are printed, one JSON object a line, and what EXPLAIN says as",
        "text. With it answers are kept beside it while they are computed, so that a rerun goes on",
        "where the last one ended.",
        "",
        "Functions:",
        "  ai_gen(prompt[, options])               the response",
        "  ai_classify(text, labels[, options])    the most probable of an array of labels",
        "  ai_query(prompt[, options])             struct of response, finish_reason, error,",
        "                                          prompt_tokens, completion_tokens",
        "  ai_score(prompt, continuation[, options])  log-probability of the continuation",
        "  Options are those of this command, as a constant map or struct, and hold for one call.");
  }

  @Override
  public List<String> examples() {
    return List.of(
        "moontide sql \"SELECT text, ai_gen(concat('Summarise: ', text)) AS summary FROM t\" \\",
        "    --view t=articles.jsonl --model /models/Kimi-K2-Instruct --max-tokens 80",
        "moontide sql \"SELECT ai_classify(body, array('bug', 'other')) AS label, count(*)",
        "    FROM tickets GROUP BY label\" --view tickets=tickets.parquet \\",
        "    --model /models/Kimi-K2-Instruct --output counts.csv");
  }

  @Override
  public int run(Values values, Console console) {
    String statement = values.required("statement", "\"SELECT ai_gen(text) FROM t\"");
    Map<String, String> views = InputOptions.pairs(values, "view");
    Optional<OutputTarget> output =
        values.has("output") ? Optional.of(OutputTarget.of(values)) : Optional.empty();
    Map<String, String> options = Session.options(JobCommand.jobOptions(options(), values));
    if (!options.containsKey("model")) {
      values.required("model", "path/to/checkpoint");
    }
    Optional<Console> progress = values.isOn("quiet") ? Optional.empty() : Optional.of(console);
    Phases phases = new Phases();
    try (Session session = phases.time("start", () -> Session.withFunctions(name(), options))) {
      SparkSession spark = session.spark();
      JobMetrics metrics = CallMetrics.of(spark);
      Supplier<Dataset<Row>> rows =
          () -> {
            views.forEach((name, path) -> view(spark, name, path, values));
            return run(spark, statement);
          };
      if (output.isPresent()) {
        Job job = new Job(spark, name(), lineage(statement, views, options));
        Summary summary =
            job.run(
                results -> {
                  SessionStore.use(spark, results);
                  return new StatementComputation(rows, metrics);
                },
                List.copyOf(views.values()),
                output.get(),
                Optional.empty(),
                phases,
                progress);
        console.out().print(summary.text());
      } else {
        Computation computation = new StatementComputation(rows, metrics);
        Optional<Progress> shown =
            progress.map(given -> Progress.start(name(), computation, given.err()));
        try {
          print(rows.get(), console);
        } finally {
          shown.ifPresent(Progress::close);
        }
      }
      console.out().flush();
    }
    return 0;
  }

  private static void print(Dataset<Row> rows, Console console) {
    if (rows.queryExecution().logical() instanceof ExplainCommand) {
      // A plan is for people: it has a line for each node.
      rows.collectAsList().forEach(plan -> console.out().println(plan.getString(0)));
    } else if (rows.columns().length > 0) {
      rows.sparkSession().conf().set("spark.sql.jsonGenerator.ignoreNullFields", "false");
      rows.toJSON().collectAsList().forEach(console.out()::println);
    }
  }

  private static Lineage lineage(
      String statement, Map<String, String> views, Map<String, String> options) {
    Map<String, String> given = new LinkedHashMap<>();
    given.put("statement", statement);
    given.putAll(options);
    List<String> inputs =
        views.entrySet().stream().map(view -> view.getKey() + "=" + view.getValue()).toList();
    return new Lineage(
        ModelOptions.fromMap(options), given, inputs, Optional.empty(), Optional.empty());
  }

  private static InputOptions inputs(List<String> paths, Values values) {
    return new InputOptions(
        paths,
        values.one("input-format"),
        InputOptions.pairs(values, "input-option"),
        Optional.empty(),
        Optional.empty(),
        Optional.empty());
  }

  private static void view(SparkSession spark, String name, String path, Values values) {
    if (!name.matches("[A-Za-z_][A-Za-z0-9_]*")) {
      throw Values.invalid("view", name + "=" + path, "a name of letters, digits and underscores");
    }
    new DatasetReader(spark, "--view " + name)
        .readWellFormed(inputs(List.of(path), values))
        .createOrReplaceTempView(name);
  }

  private static Dataset<Row> run(SparkSession spark, String statement) {
    try {
      return spark.sql(statement);
    } catch (Exception invalid) {
      if (invalid instanceof AnalysisException) {
        throw MoontideException.configuration(
            "the statement cannot be run: %s", Failures.message(invalid));
      }
      throw invalid;
    }
  }
}
