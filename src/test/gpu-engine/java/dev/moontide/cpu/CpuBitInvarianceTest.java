package dev.moontide.cpu;

import dev.moontide.tensor.BitInvariance;
import dev.moontide.tensor.Backend;
import java.util.List;

class CpuBitInvarianceTest extends BitInvariance {
  static List<Backend> backends() {
    return CpuBackend.all();
  }
}
