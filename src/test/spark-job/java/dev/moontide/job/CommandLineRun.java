package dev.moontide.job;

import java.io.PrintWriter;
import java.io.StringWriter;

/**
 * A command that ran in this JVM.
 *
 * @param status its exit status
 * @param out what it wrote to stdout
 * @param err what it wrote to stderr
 */
record CommandLineRun(int status, String out, String err) {
  static CommandLineRun of(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int status = Main.run(new Console(new PrintWriter(out), new PrintWriter(err)), arguments);
    return new CommandLineRun(status, out.toString(), err.toString());
  }
}
