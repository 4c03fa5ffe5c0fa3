"""The whole road on a real Amazon Linux 2023 host, by its predefined baseline: scanned, explained, patched, booted."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.agents import Agent, build_zipapp
from tests.e2e.conftest import MakeRpmRepository, MakeRpmRoot
from tests.e2e.roots import LabNetwork
from tests.e2e.rpm_hosts import AMAZON_LINUX_2023
from tests.e2e.rpm_repository import Notice, Rpm
from tests.e2e.servers import ServerProcess, eventually

pytestmark = pytest.mark.root

OVER = {"Success", "Failed", "TimedOut", "Cancelled"}
KERNEL = ("Provides: installonlypkg(kernel)",)


def test_a_host_is_scanned_explained_patched_and_compliant_after_its_boot(
    lab_network: LabNetwork, make_rpm_root: MakeRpmRoot, make_rpm_repository: MakeRpmRepository, tmp_path: Path
) -> None:
    host, repository = make_rpm_root("road-al2023", AMAZON_LINUX_2023), make_rpm_repository("amazonlinux")
    old = [Rpm(name, "1-1") for name in ("tb-lib", "tb-held", "tb-plain")] + [Rpm("kernel", "6.1-1", tags=KERNEL)]
    fix, kernel, held = Rpm("tb-lib", "1-2"), Rpm("kernel", "6.2-1", tags=KERNEL), Rpm("tb-held", "2-1")
    repository.add(fix, kernel, held, Rpm("tb-lib", "2-1"), Rpm("tb-plain", "2-1"))
    repository.add_notice(
        Notice("ALAS2023-2026-100", (fix,), cves=("CVE-2026-1000",)),
        Notice("ALAS2023-2026-200", (kernel,), severity="Critical", cves=("CVE-2026-2000",)),
        Notice("ALAS2023-2026-300", (held,), severity="Important", cves=("CVE-2026-3000",)),
    )
    repository.publish()
    (repository.folder / "latest").symlink_to(".")  # and no other release: the host's own is 2023
    repository.enable(host, f"baseurl={repository.url}/$releasever")
    repository.install(host, *old)
    host.write("/etc/dnf/plugins/versionlock.list", "tb-held-0:1-1.*\n")

    with ExitStack() as stack:
        server = ServerProcess(tmp_path, lab_network.address, options=("--poll-seconds", "3")).start()
        stack.callback(server.kill)
        agent = Agent(host, build_zipapp(tmp_path / "agent.pyz"), tmp_path)
        stack.callback(agent.kill)
        ssm, patchwright = server.client("ssm"), server.client("patchwright")
        activation = ssm.create_activation(IamRole="service-role", RegistrationLimit=1)
        agent.register(server.url, activation, patchwright.get_server_information()["CaSha256"])
        agent.start()

        def run(**parameters: str) -> str:
            sent = ssm.send_command(
                DocumentName="AWS-RunPatchBaseline",
                InstanceIds=[agent.node_id],
                Parameters={name: [value] for name, value in parameters.items()},
            )["Command"]["CommandId"]
            command = eventually(
                lambda: ssm.list_commands(CommandId=sent)["Commands"][0], lambda c: c["Status"] in OVER, 60
            )
            output: dict[str, Any] = ssm.get_command_invocation(
                CommandId=sent, InstanceId=agent.node_id, PluginName="PatchLinux"
            )
            assert command["Status"] == "Success", (output, agent.log[-3000:], server.log[-3000:])
            return str(output["StandardOutputContent"])

        def states() -> dict[str, str]:
            patches = ssm.describe_instance_patches(InstanceId=agent.node_id)["Patches"]
            return {patch["Title"]: patch["State"] for patch in patches if "release" not in patch["Title"]}

        def counts() -> tuple[int, int, int]:
            (state,) = ssm.describe_instance_patch_states(InstanceIds=[agent.node_id])["InstancePatchStates"]
            return state["MissingCount"], state["FailedCount"], state["SecurityNonCompliantCount"]

        def why(patch: str) -> tuple[str, str]:
            (answer,) = patchwright.explain_patch(NodeId=agent.node_id, Patch=patch)["Explanations"]
            return answer["Code"], answer["Summary"]

        run(Operation="Scan")
        assert states() == {
            "kernel.x86_64:0:6.2-1": "MISSING", "tb-held.x86_64:0:2-1": "MISSING", "tb-lib.x86_64:0:1-2": "MISSING",
            "tb-plain.x86_64:0:1-1": "INSTALLED_OTHER",
        }  # fmt: skip
        assert why("CVE-2026-1000")[0] == "CVE_OPEN"
        assert why("ALAS2023-2026-200")[0] == "APPROVED_BY_RULE"
        assert why("tb-held")[0] == "HELD"
        assert why("CVE-2020-0001")[0] == "CVE_NOT_FOUND"

        run(Operation="Install", RebootOption="NoReboot")
        assert host.run(["rpm", "-q", "kernel", "tb-lib", "tb-held"]).stdout.split() == [
            "kernel-6.1-1.x86_64", "kernel-6.2-1.x86_64", "tb-lib-1-2.x86_64", "tb-held-1-1.x86_64",
        ]  # fmt: skip
        assert states() == {
            "kernel.x86_64:0:6.2-1": "INSTALLED_PENDING_REBOOT", "tb-held.x86_64:0:2-1": "MISSING",
            "tb-lib.x86_64:0:1-2": "INSTALLED_PENDING_REBOOT", "tb-plain.x86_64:0:1-1": "INSTALLED_OTHER",
        }  # fmt: skip
        assert why("CVE-2026-1000")[0] == "CVE_FIXED"

        agent.stop()
        host.reboot()
        agent.start()  # reports once after each boot, so what waited for it is cleared by itself
        booted = eventually(states, lambda now: "INSTALLED_PENDING_REBOOT" not in now.values(), 30)
        assert booted["kernel.x86_64:0:6.2-1"] == booted["tb-lib.x86_64:0:1-2"] == "INSTALLED"
        # The counts are kept by the judging loop, a moment after the facts have come.
        eventually(counts, lambda now: now == (1, 0, 1))
