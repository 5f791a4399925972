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
package dev.moontide.device;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;

/**
 * Runs tests on this machine's own GPU: arguments are class names, or methods as {@code
 * class#method(types)}. The exit status is 1 if any fails or none is found.
 */
public final class DeviceTests {
  private DeviceTests() {}

  public static void main(String[] arguments) {
    System.setProperty("moontide.test.gpu", "true");
    PrintWriter out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
    boolean failed = false;
    for (String test : arguments) {
      long start = System.nanoTime();
      SummaryGeneratingListener summary = new SummaryGeneratingListener();
      LauncherDiscoveryRequest request =
          LauncherDiscoveryRequestBuilder.request()
              .selectors(
                  test.contains("#")
                      ? DiscoverySelectors.selectMethod(test)
                      : DiscoverySelectors.selectClass(test))
              .build();
      LauncherFactory.create().execute(request, summary);
      long failures = summary.getSummary().getTotalFailureCount();
      long found = summary.getSummary().getTestsSucceededCount();
      out.printf(
          "%-80s %3d passed, %d failed, %.1f s%n",
          test, found, failures, (System.nanoTime() - start) / 1e9);
      if (failures > 0) {
        summary.getSummary().printFailuresTo(out, 12);
      }
      failed |= failures > 0 || found == 0;
    }
    System.exit(failed ? 1 : 0);
  }
}
