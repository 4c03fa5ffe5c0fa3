import sys,time,tempfile,pathlib; sys.path[:0]=['/work/main/src','/work/main']
from datetime import datetime,UTC
from patchwright.store.sqlite import SqliteEngine
from patchwright.store.migrate import migrate
from patchwright.store.tables import *
from patchwright.core.values import *
from patchwright.flows.judge_fleet import mark_due
from tests.unit.counting import CountingIds
from tests.unit.fleet import Fleet,HERE,NOW
def run(e):
    Fleet(e).add()
    N=100_000
    ids=[f"mi-{i:017x}" for i in range(1000,1000+N)]
    def w(tx):
        tx.execute(node.insert(),[dict(id=i,account=HERE.account,region=HERE.region,activation_id="00000000-0000-4000-9000-000000000001",iam_role="r",public_key="k"*200,fingerprint="f",registered_at=NOW,operating_system="UBUNTU") for i in ids])
        tx.execute(verdict.insert(),[dict(node_id=i,account=HERE.account,region=HERE.region,baseline_id="pb-00000000000000001",baseline_version=1,baseline_source="D",patch_group="",status="COMPLIANT",overall_level="X",counts={},judged_at=NOW) for i in ids])
        tx.execute(tag.insert(),[dict(account=HERE.account,region=HERE.region,resource_type="ManagedInstance",resource_id=i,key="Patch Group",value="web" if n%2 else "db") for n,i in enumerate(ids)])
    e.write(w)
    if e.dialect!='sqlite': 
        c=e.connection(); c.exec_driver_sql("ANALYZE"); c.close()
    c=CountingIds()
    for name,kw in (("baseline",dict(baseline_id="pb-00000000000000001")),("baseline again",dict(baseline_id="pb-00000000000000001")),("group",dict(patch_group="web",operating_system=OperatingSystem.UBUNTU)),("system",dict(operating_system=OperatingSystem.UBUNTU)),("one node",dict(node_ids=[ids[5]])),("no nodes",dict(patch_group="x"))):
        t=time.perf_counter(); n=e.write(lambda tx: mark_due(tx,HERE,cause="x",now=NOW,ids=c,**kw)); print(e.dialect,name,n,round((time.perf_counter()-t)*1000,1),"ms")
def test_sqlite(store): run(store)
