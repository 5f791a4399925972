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
package dev.moontide.tokenizer;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.el.JinjavaProcessors;
import com.hubspot.jinjava.interpret.Context;
import com.hubspot.jinjava.interpret.Context.Library;
import com.hubspot.jinjava.interpret.DynamicVariableResolver;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.Importable;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import com.hubspot.jinjava.random.RandomNumberGeneratorStrategy;
import dev.moontide.api.MoontideException;
import java.io.FileNotFoundException;
import java.util.Collection;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * jinjava as chat templates expect Jinja to be, and harmless: a checkpoint's template is untrusted.
 * It reaches no file, clock, random number or Java object ({@link JinjaAccess}), rendered text is
 * never read as a template again, and its output, recursion and steps are bounded. Time is bounded
 * by steps, so that what a row gives depends on the row alone.
 *
 * <p>What still differs from Jinja: {@code and} gives true or false, not its operand; a number
 * equals the text that spells it; none and undefined are one, and print nothing; there is no {@code
 * filter} block. A template that uses an unknown tag, filter or function is told so.
 */
final class JinjaSandbox {
  /** Longest text, in characters: hundreds of times the longest prompt. */
  private static final int MAX_TEXT = 1 << 26;

  private static final int MAX_ITEMS = 1 << 20;
  private static final int MAX_RECURSION = 64;

  /**
   * Steps a rendering may take: at most seconds' worth. A node or an iteration is as many steps as
   * scopes are open, since names are looked up through all of them.
   */
  private static final int MAX_STEPS = 5_000_000;

  // What Jinja has, so that a template means what it means to its author; nothing that decodes
  // (unescape, base64, JSON), which could make characters that a guarded text does not have.
  private static final Set<String> FILTERS =
      Set.of(
          "abs",
          "batch",
          "capitalize",
          "center",
          "count",
          "d",
          "default",
          "dictsort",
          "e",
          "escape",
          "first",
          "float",
          "format",
          "groupby",
          "indent",
          "int",
          "join",
          "last",
          "length",
          "list",
          "lower",
          "map",
          "regex_replace",
          "reject",
          "rejectattr",
          "replace",
          "reverse",
          "round",
          "safe",
          "select",
          "selectattr",
          "slice",
          "sort",
          "string",
          "striptags",
          "sum",
          "title",
          "truncate",
          "unique",
          "upper",
          "urlencode",
          "wordcount",
          "wordwrap");
  private static final Set<String> TAGS =
      Set.of(
          "break",
          "call",
          "continue",
          "do",
          "elif",
          "else",
          "endcall",
          "enddo",
          "endfor",
          "endif",
          "endmacro",
          "endraw",
          "endset",
          "for",
          "if",
          "macro",
          "print",
          "raw",
          "set");
  private static final Set<String> FUNCTIONS = Set.of(":range", ":namespace");

  private static final JinjavaConfig CONFIG = config();

  private JinjaSandbox() {}

  /** A new instance, for one thread at a time. */
  static Jinjava create() {
    Jinjava jinjava = new Jinjava(CONFIG);
    jinjava.setResourceLocator(
        (name, charset, interpreter) -> {
          throw new FileNotFoundException("templates cannot read files: " + name);
        });
    JinjaFilter.all().forEach(jinjava::registerFilter);
    jinjava.registerTag(new JinjaForTag());
    for (ELFunctionDefinition function : jinjava.getGlobalContext().getAllFunctions()) {
      if (!FUNCTIONS.contains(function.getName())) {
        jinjava.registerFunction(
            new ELFunctionDefinition(
                function.getNamespace(),
                function.getLocalName(),
                JinjaSandbox.class,
                "refuseFunction",
                Object[].class));
      }
    }
    jinjava.registerFunction(
        new ELFunctionDefinition(
            "", "raise_exception", JinjaSandbox.class, "raiseException", Object.class));
    return jinjava;
  }

  /** The parent of all contexts in which templates are rendered. */
  static Context context(Jinjava jinjava) {
    return new Context(jinjava.getGlobalContext(), Map.of(), CONFIG.getDisabled());
  }

  private static JinjavaConfig config() {
    Context everything = new Jinjava(JinjavaConfig.newBuilder().build()).getGlobalContext();
    return JinjavaConfig.newBuilder()
        .withKeepTrailingNewline(true) // TemplateSource deals with white space
        .withNestedInterpretationEnabled(false)
        .withLegacyOverrides(
            LegacyOverrides.newBuilder()
                .withEvaluateMapKeys(true)
                .withIterateOverMapKeys(true)
                .withUseNaturalOperatorPrecedence(true)
                .withParseWhitespaceControlStrictly(true)
                .withAllowAdjacentTextNodes(true)
                .withUseTrimmingForNotesAndExpressions(true)
                .withKeepNullableLoopValues(true)
                .withHandleBackslashInQuotesOnly(true)
                .build())
        .withElResolver(new JinjaAccess())
        .withDisabled(
            Map.of(
                Library.FILTER, allBut(FILTERS, everything.getAllFilters()),
                Library.TAG, allBut(TAGS, everything.getAllTags())))
        .withRandomNumberGeneratorStrategy(RandomNumberGeneratorStrategy.CONSTANT_ZERO)
        .withMaxOutputSize(MAX_TEXT)
        .withMaxStringLength(MAX_TEXT)
        .withMaxListSize(MAX_ITEMS)
        .withMaxMapSize(MAX_ITEMS)
        .withRangeLimit(MAX_ITEMS)
        .withMaxRenderDepth(MAX_RECURSION)
        .withEnableRecursiveMacroCalls(true)
        .withMaxMacroRecursionDepth(MAX_RECURSION)
        .withProcessors(
            JinjavaProcessors.newBuilder()
                .withNodePreProcessor((node, interpreter) -> ((Interpreter) interpreter).step())
                .build())
        .build();
  }

  private static Set<String> allBut(
      Set<String> allowed, Collection<? extends Importable> everything) {
    Set<String> names = new HashSet<>();
    everything.forEach(item -> names.add(item.getName()));
    names.removeAll(allowed);
    JinjaFilter.all().forEach(filter -> names.remove(filter.getName()));
    return names;
  }

  /** What every function is that Jinja does not have; jinjava cannot take them away. */
  static Object refuseFunction(Object... arguments) {
    throw new Refusal(
        MoontideException.row("the template calls a function that templates do not have"));
  }

  /** {@code raise_exception(message)}: how a template refuses a conversation. */
  static Object raiseException(Object message) {
    throw new Refusal(
        MoontideException.row("the chat template refuses this conversation: %s", message));
  }

  /** Ends a rendering. An Error, since jinjava notes exceptions and goes on. */
  static final class Refusal extends Error {
    private static final long serialVersionUID = 1L;
    private final transient MoontideException reason;

    Refusal(MoontideException reason) {
      super(reason.getMessage(), reason);
      this.reason = reason;
    }

    MoontideException reason() {
      return reason;
    }
  }

  /** Renders, one row after another, each in a scope of its own. */
  static final class Interpreter extends JinjavaInterpreter {
    /** Scopes that are open before a row's. */
    private static final int OUTER_SCOPES = 1;

    private int steps;

    Interpreter(Jinjava jinjava, Context context) {
      super(jinjava, context, CONFIG);
    }

    /** Opens a row's scope, with its variables; {@code others} finds those not among them. */
    void begin(Map<String, ?> variables, DynamicVariableResolver others) {
      steps = 0;
      enterScope();
      getContext().putAll(variables);
      getContext().setDynamicVariableResolver(others);
    }

    /** Closes it; whether all scopes opened since are closed, so that there may be another. */
    boolean end() {
      leaveScope();
      return getScopeDepth() == OUTER_SCOPES;
    }

    /** Counts a node or an iteration. */
    void step() {
      steps += getScopeDepth() - OUTER_SCOPES;
      if (steps > MAX_STEPS) {
        throw new Refusal(
            MoontideException.row(
                "the template did not end within %d steps; it may loop", MAX_STEPS));
      }
    }

    @Override
    public String getAsString(@Nullable Object value) {
      if (value == null) {
        return "";
      }
      if (value instanceof Number number) {
        return PythonJson.plain(number);
      }
      return value instanceof Map || value instanceof Collection
          ? PythonJson.write(value)
          : value.toString();
    }
  }
}
