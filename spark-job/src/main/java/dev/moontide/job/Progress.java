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

import dev.moontide.spark.JobMetrics;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import me.tongfei.progressbar.DelegatingProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;

/**
 * Shows on stderr how far a job is: a bar where that is a terminal, else a line every {@link
 * #LINE_EVERY}.
 */
final class Progress implements AutoCloseable {
  /**
   * Environment variable with the width of the terminal that stderr is; absent if it is none. The
   * launcher sets it, as a JVM cannot tell.
   */
  static final String COLUMNS = "MOONTIDE_COLUMNS";

  private static final Duration LINE_EVERY = Duration.ofSeconds(10);
  private static final Duration BAR_EVERY = Duration.ofMillis(500);

  private final JobMetrics metrics;
  private final View view;
  private final ScheduledExecutorService ticks;
  private final long start = System.nanoTime();

  /** How progress looks. */
  private interface View extends AutoCloseable {
    void show(JobMetrics.Snapshot counts, double seconds);

    @Override
    void close();
  }

  private Progress(JobMetrics metrics, View view, Duration every) {
    this.metrics = metrics;
    this.view = view;
    this.ticks =
        Executors.newSingleThreadScheduledExecutor(
            runnable -> {
              Thread thread = new Thread(runnable, "moontide-progress");
              thread.setDaemon(true);
              return thread;
            });
    var unused =
        ticks.scheduleAtFixedRate(
            this::tick, every.toMillis(), every.toMillis(), TimeUnit.MILLISECONDS);
  }

  /** Shows progress until it is closed. */
  static Progress start(String command, Computation computation, PrintWriter err) {
    JobMetrics metrics = computation.metrics();
    OptionalLong total = computation.total();
    String unit = computation.unit();
    return Optional.ofNullable(System.getenv(COLUMNS))
        .map(
            columns ->
                new Progress(metrics, new Bar(command, unit, total, err, columns), BAR_EVERY))
        .orElseGet(() -> new Progress(metrics, new Lines(command, unit, total, err), LINE_EVERY));
  }

  private void tick() {
    view.show(metrics.snapshot(), (System.nanoTime() - start) / 1e9);
  }

  @Override
  public void close() {
    ticks.shutdownNow();
    view.close();
  }

  /** A bar that is drawn over itself. */
  private static final class Bar implements View {
    private final ProgressBar bar;
    private final PrintWriter err;
    private final String unit;
    private final int columns;

    Bar(String command, String unit, OptionalLong total, PrintWriter err, String columns) {
      this.err = err;
      this.unit = unit;
      this.columns = columns.matches("[1-9][0-9]{0,3}") ? Integer.parseInt(columns) : 80;
      this.bar =
          new ProgressBarBuilder()
              .setTaskName(command)
              .setInitialMax(total.orElse(-1))
              .setUnit(" " + unit, 1)
              .setUpdateIntervalMillis((int) BAR_EVERY.toMillis())
              .continuousUpdate()
              .setConsumer(new DelegatingProgressBarConsumer(this::draw, this.columns - 1))
              .build();
    }

    private void draw(String line) {
      err.print("\r" + line);
      err.flush();
    }

    @Override
    public void show(JobMetrics.Snapshot counts, double seconds) {
      bar.stepTo(counts.rows());
      bar.setExtraMessage(rates(counts, unit, seconds));
    }

    @Override
    public void close() {
      bar.close();
      err.print("\r" + " ".repeat(columns - 1) + "\r");
      err.flush();
    }
  }

  /** Lines for a log. */
  private static final class Lines implements View {
    private final String command;
    private final String unit;
    private final OptionalLong total;
    private final PrintWriter err;

    Lines(String command, String unit, OptionalLong total, PrintWriter err) {
      this.command = command;
      this.unit = unit;
      this.total = total;
      this.err = err;
    }

    @Override
    public void show(JobMetrics.Snapshot counts, double seconds) {
      StringBuilder line = new StringBuilder(format("moontide %s: %,d", command, counts.rows()));
      total.ifPresent(rows -> line.append(format(" of %,d", rows)));
      line.append(" ").append(unit).append(", ").append(rates(counts, unit, seconds));
      if (total.isPresent() && counts.rows() > 0) {
        double left = seconds * (total.getAsLong() - counts.rows()) / counts.rows();
        line.append(format(", %,.0f s left", Math.max(0, left)));
      }
      err.println(line);
    }

    @Override
    public void close() {}
  }

  private static String rates(JobMetrics.Snapshot counts, String unit, double seconds) {
    String rates =
        format(
            "%,.0f %s/s, %,.0f tokens/s",
            counts.rows() / seconds,
            unit,
            (counts.promptTokens() + counts.completionTokens()) / seconds);
    if (counts.reused() > 0) {
      rates += format(", %,d %s reused", counts.reused(), unit);
    }
    return counts.errors() == 0 ? rates : rates + format(", %,d errors", counts.errors());
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
