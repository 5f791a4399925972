package dev.moontide.cpu;

import dev.moontide.tensor.AttentionAgreement;
import dev.moontide.tensor.Backend;
import java.util.List;

class CpuAttentionTest extends AttentionAgreement {
  static List<Backend> backends() {
    return CpuBackend.all();
  }
}
