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
package dev.moontide.model;

import dev.moontide.cpu.Bf16Backends;
import dev.moontide.tensor.Ops;
import dev.moontide.tensor.Routing;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;

/** Operations on a CPU, and which experts they chose for every token of the last step. */
final class RoutingLog {
  private final Ops ops;
  private final List<int[][]> layers = new ArrayList<>();

  RoutingLog(Ops ops) {
    this.ops = ops;
  }

  Ops ops() {
    return (Ops)
        Proxy.newProxyInstance(
            Ops.class.getClassLoader(),
            new Class<?>[] {Ops.class},
            (proxy, method, arguments) -> call(method, arguments));
  }

  private Object call(Method method, Object[] arguments) throws Throwable {
    Object result;
    try {
      result = method.invoke(ops, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
    if (method.getName().equals("embed")) {
      layers.clear();
    } else if (method.getName().equals("route")) {
      layers.add(experts((Routing) arguments[0], (int) arguments[5]));
    }
    return result;
  }

  private static int[][] experts(Routing routing, int n) {
    int[][] chosen = new int[n][routing.topK()];
    for (int t = 0; t < n; t++) {
      for (int k = 0; k < chosen[t].length; k++) {
        chosen[t][k] = Bf16Backends.expert(routing, t, k);
      }
    }
    return chosen;
  }

  /** By layer with experts, then token: the experts in ascending order. */
  List<int[][]> layers() {
    return List.copyOf(layers);
  }
}
