package dev.moontide.cpu;

import dev.moontide.tensor.OpsAgreement;
import dev.moontide.tensor.Backend;
import java.util.List;

class CpuOpsAgreementTest extends OpsAgreement {
  static List<Backend> backends() {
    return CpuBackend.all();
  }
}
