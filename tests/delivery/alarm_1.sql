PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE audit (
        n INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL,
        subject TEXT NOT NULL, detail TEXT NOT NULL, hash TEXT NOT NULL
    );
INSERT INTO "audit" VALUES(1,1795000000000000000,'王芳','incident.acknowledge','incident/7f4b93c5-f43f-53b2-b970-099e0ecf0ee8','{}','90474e847151ff08994d7371f3a619bf5e056a2e4256564c96205d93c4bb1e56');
CREATE TABLE events (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        seq INTEGER,
        class TEXT NOT NULL,
        type TEXT NOT NULL,
        subject TEXT NOT NULL,
        priority INTEGER NOT NULL,
        incident_id TEXT NOT NULL,
        at_ns INTEGER NOT NULL,
        pressed_ns INTEGER NOT NULL,
        summary_zh TEXT NOT NULL,
        summary_en TEXT NOT NULL,
        body TEXT NOT NULL
    );
INSERT INTO "events" VALUES(1,'10c22790-1184-589c-bf3d-962df236d3db',1,'alarm','cn.tyj.alarm.panic.v1','zone/Z01',1,'7f4b93c5-f43f-53b2-b970-099e0ecf0ee8',1795000000000000000,1794999999965000000,'一键报警：托大一班一键报警','panic button pressed: 托大一班一键报警','{"specversion": "1.0", "id": "10c22790-1184-589c-bf3d-962df236d3db", "source": "/tyj/F0012/edge-0001", "type": "cn.tyj.alarm.panic.v1", "subject": "zone/Z01", "time": "2026-11-18T19:06:40.000+08:00", "datacontenttype": "application/json", "dataschema": "urn:tyj:alarm:1", "seq": 1, "bootid": "boot-1", "priority": 1, "historical": false, "clockquality": "ntp", "data": {"incident_id": "7f4b93c5-f43f-53b2-b970-099e0ecf0ee8", "count": 1, "zone": {"id": "Z01", "name": "托大一班一键报警", "type": "panic_24h", "supervised": false}, "state": "triggered", "cause": "alarm", "room": "R01", "cameras": ["C01"], "evidence": {"pre_s": 30, "post_s": 60, "status": "none"}, "drill": false, "late": false}}');
INSERT INTO "events" VALUES(2,'ab392b25-112b-5a67-b7e0-1fc80558cd0b',2,'alarm','cn.tyj.alarm.panic.v1','zone/Z01',2,'7f4b93c5-f43f-53b2-b970-099e0ecf0ee8',1795000000000000000,1794999999965000000,'一键报警已松开：托大一班一键报警','panic button released: 托大一班一键报警','{"specversion": "1.0", "id": "ab392b25-112b-5a67-b7e0-1fc80558cd0b", "source": "/tyj/F0012/edge-0001", "type": "cn.tyj.alarm.panic.v1", "subject": "zone/Z01", "time": "2026-11-18T19:06:40.000+08:00", "datacontenttype": "application/json", "dataschema": "urn:tyj:alarm:1", "seq": 2, "bootid": "boot-1", "priority": 2, "historical": false, "clockquality": "ntp", "data": {"incident_id": "7f4b93c5-f43f-53b2-b970-099e0ecf0ee8", "count": 1, "zone": {"id": "Z01", "name": "托大一班一键报警", "type": "panic_24h", "supervised": false}, "state": "restored", "cause": "alarm", "room": "R01", "cameras": ["C01"], "evidence": {"pre_s": 30, "post_s": 60, "status": "none"}, "drill": false, "late": false}}');
INSERT INTO "events" VALUES(3,'a64005ea-de65-58f0-8bd5-9ae5006c6102',3,'alarm','cn.tyj.alarm.door.v1','zone/Z02',3,'',1795000000000000000,1794999999965000000,'门打开：大门门磁','door opened: 大门门磁','{"specversion": "1.0", "id": "a64005ea-de65-58f0-8bd5-9ae5006c6102", "source": "/tyj/F0012/edge-0001", "type": "cn.tyj.alarm.door.v1", "subject": "zone/Z02", "time": "2026-11-18T19:06:40.000+08:00", "datacontenttype": "application/json", "dataschema": "urn:tyj:alarm:1", "seq": 3, "bootid": "boot-1", "priority": 3, "historical": false, "clockquality": "ntp", "data": {"zone": {"id": "Z02", "name": "大门门磁", "type": "perimeter", "supervised": false}, "state": "opened", "cause": "alarm", "room": null, "cameras": [], "drill": false, "late": false, "armed": "unknown"}}');
INSERT INTO "events" VALUES(4,'01a1ee56-5e00-7ace-9d8c-848240e7a778',4,'alarm','cn.tyj.alarm.panic.v1','zone/Z01',2,'7f4b93c5-f43f-53b2-b970-099e0ecf0ee8',1795000000000000000,0,'已确认：托大一班一键报警（王芳）','acknowledged: 托大一班一键报警 (王芳)','{"specversion": "1.0", "id": "01a1ee56-5e00-7ace-9d8c-848240e7a778", "source": "/tyj/F0012/edge-0001", "type": "cn.tyj.alarm.panic.v1", "subject": "zone/Z01", "time": "2026-11-18T19:06:40.000+08:00", "datacontenttype": "application/json", "dataschema": "urn:tyj:alarm:1", "seq": 4, "bootid": "boot-1", "priority": 2, "historical": false, "clockquality": "ntp", "data": {"incident_id": "7f4b93c5-f43f-53b2-b970-099e0ecf0ee8", "state": "acknowledged", "who": "王芳", "why": "", "room": "R01", "count": 1}}');
CREATE TABLE incidents (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        name TEXT NOT NULL,
        room_id TEXT,
        latching INTEGER NOT NULL,
        state TEXT NOT NULL,
        count INTEGER NOT NULL,
        triggered_ns INTEGER NOT NULL,
        last_ns INTEGER NOT NULL,
        acknowledged_ns INTEGER NOT NULL,
        acknowledged_by TEXT NOT NULL,
        restored_ns INTEGER NOT NULL,
        reset_ns INTEGER NOT NULL,
        reset_by TEXT NOT NULL,
        reset_why TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "incidents" VALUES('7f4b93c5-f43f-53b2-b970-099e0ecf0ee8','panic','zone/Z01','托大一班一键报警','R01',1,'restored',1,1795000000000000000,1795000000000000000,1795000000000000000,'王芳',1795000000000000000,0,'','');
CREATE TABLE numbers (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "numbers" VALUES('seq',10001);
CREATE TABLE outbox (
        event_id TEXT NOT NULL REFERENCES events (id),
        platform TEXT NOT NULL,
        state TEXT NOT NULL,
        published_ns INTEGER NOT NULL DEFAULT 0,
        receipted_ns INTEGER NOT NULL DEFAULT 0,
        case_no TEXT NOT NULL DEFAULT '',
        done INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (event_id, platform)
    ) WITHOUT ROWID;
INSERT INTO "outbox" VALUES('01a1ee56-5e00-7ace-9d8c-848240e7a778','cloud','pending',0,0,'',0);
INSERT INTO "outbox" VALUES('01a1ee56-5e00-7ace-9d8c-848240e7a778','police','receipted',1795000000000000000,1795000000000000000,'case-01a1',1);
INSERT INTO "outbox" VALUES('10c22790-1184-589c-bf3d-962df236d3db','cloud','pending',0,0,'',0);
INSERT INTO "outbox" VALUES('10c22790-1184-589c-bf3d-962df236d3db','police','receipted',1795000000000000000,1795000000000000000,'case-10c2',1);
INSERT INTO "outbox" VALUES('a64005ea-de65-58f0-8bd5-9ae5006c6102','cloud','pending',0,0,'',0);
INSERT INTO "outbox" VALUES('a64005ea-de65-58f0-8bd5-9ae5006c6102','police','receipted',1795000000000000000,1795000000000000000,'case-a640',1);
INSERT INTO "outbox" VALUES('ab392b25-112b-5a67-b7e0-1fc80558cd0b','cloud','pending',0,0,'',0);
INSERT INTO "outbox" VALUES('ab392b25-112b-5a67-b7e0-1fc80558cd0b','police','receipted',1795000000000000000,1795000000000000000,'case-ab39',1);
CREATE TABLE seen_facts (
        process TEXT NOT NULL, boot TEXT NOT NULL, n INTEGER NOT NULL, at_ns INTEGER NOT NULL,
        PRIMARY KEY (process, boot, n)
    ) WITHOUT ROWID;
CREATE TABLE seen_inputs (
        board_uid TEXT NOT NULL, boot_id INTEGER NOT NULL, event_id INTEGER NOT NULL, at_ns INTEGER NOT NULL,
        PRIMARY KEY (board_uid, boot_id, event_id)
    ) WITHOUT ROWID;
INSERT INTO "seen_inputs" VALUES('cd072cd8be6f9f62',1,1,1795000000000000000);
INSERT INTO "seen_inputs" VALUES('cd072cd8be6f9f62',1,2,1795000000000000000);
INSERT INTO "seen_inputs" VALUES('cd072cd8be6f9f62',1,3,1795000000000000000);
CREATE TABLE seen_receipts (
        platform TEXT NOT NULL, event_id TEXT NOT NULL, status TEXT NOT NULL, case_no TEXT NOT NULL,
        at_ns INTEGER NOT NULL, PRIMARY KEY (platform, event_id, status)
    ) WITHOUT ROWID;
INSERT INTO "seen_receipts" VALUES('police','01a1ee56-5e00-7ace-9d8c-848240e7a778','accepted','case-01a1',1795000000000000000);
INSERT INTO "seen_receipts" VALUES('police','10c22790-1184-589c-bf3d-962df236d3db','accepted','case-10c2',1795000000000000000);
INSERT INTO "seen_receipts" VALUES('police','a64005ea-de65-58f0-8bd5-9ae5006c6102','accepted','case-a640',1795000000000000000);
INSERT INTO "seen_receipts" VALUES('police','ab392b25-112b-5a67-b7e0-1fc80558cd0b','accepted','case-ab39',1795000000000000000);
CREATE TABLE zones (zone_id TEXT PRIMARY KEY, input TEXT NOT NULL, since_ns INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "zones" VALUES('Z01','normal',1795000000000000000);
INSERT INTO "zones" VALUES('Z02','alarm',1795000000000000000);
CREATE INDEX events_by_seq ON events (seq);
CREATE INDEX outbox_open ON outbox (platform) WHERE done = 0;
CREATE INDEX incidents_open ON incidents (state) WHERE state NOT IN ('reset', 'closed');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',4);
COMMIT;
