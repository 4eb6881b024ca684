"""Writes the Go structs of OCPP messages from the Open Charge Alliance's JSON schemas.

  python3 tools/ocppgen.py v16|v201 SCHEMAS wire/ocpp/v16|v201 && gofmt -w wire/ocpp

SCHEMAS is a folder with one file for each message, as mobilityhouse/ocpp has them in ocpp/v16/schemas and
ocpp/v201/schemas (MIT). The schemas are not kept here. What is added to them: which fields are strict (package ocpp), names
of types that 1.6 leaves without one, and the grouping of messages into files.
"""

import collections
import json
import os
import re
import sys

ver, src, out = sys.argv[1:4]
groups16={
 'core':('Core profile, OCPP 1.6 sections 4 and 5.','Authorize BootNotification ChangeAvailability ChangeConfiguration ClearCache DataTransfer GetConfiguration Heartbeat MeterValues RemoteStartTransaction RemoteStopTransaction Reset StartTransaction StatusNotification StopTransaction UnlockConnector'),
 'firmware':('Firmware management profile.','DiagnosticsStatusNotification FirmwareStatusNotification GetDiagnostics UpdateFirmware'),
 'locallist':('Local authorisation list profile.','GetLocalListVersion SendLocalList'),
 'reservation':('Reservation profile.','CancelReservation ReserveNow'),
 'smartcharging':('Smart charging profile.','ClearChargingProfile GetCompositeSchedule SetChargingProfile'),
 'trigger':('Remote trigger profile.','TriggerMessage'),
 'security':('Improved security for OCPP 1.6-J, edition 2 (the security whitepaper).','CertificateSigned DeleteCertificate ExtendedTriggerMessage GetInstalledCertificateIds GetLog InstallCertificate LogStatusNotification SecurityEventNotification SignCertificate SignedFirmwareStatusNotification SignedUpdateFirmware'),
}
groups201={
 'provisioning':('Functional block B: provisioning.','BootNotification GetBaseReport GetReport GetVariables NotifyReport Reset SetNetworkProfile SetVariables'),
 'security':('Functional blocks A and M: security and certificates.','CertificateSigned DeleteCertificate Get15118EVCertificate GetCertificateStatus GetInstalledCertificateIds InstallCertificate SecurityEventNotification SignCertificate'),
 'authorization':('Functional blocks C and D: authorisation and its local list.','Authorize ClearCache GetLocalListVersion SendLocalList'),
 'transaction':('Functional blocks E, F, I and J: transactions, remote control, cost, metering.','CostUpdated GetTransactionStatus MeterValues RequestStartTransaction RequestStopTransaction TransactionEvent TriggerMessage UnlockConnector'),
 'availability':('Functional blocks G and H: availability and reservation.','CancelReservation ChangeAvailability Heartbeat ReservationStatusUpdate ReserveNow StatusNotification'),
 'smartcharging':('Functional block K: smart charging.','ClearChargingProfile ClearedChargingLimit GetChargingProfiles GetCompositeSchedule NotifyChargingLimit NotifyEVChargingNeeds NotifyEVChargingSchedule ReportChargingProfiles SetChargingProfile'),
 'firmware':('Functional block L: firmware.','FirmwareStatusNotification PublishFirmware PublishFirmwareStatusNotification UnpublishFirmware UpdateFirmware'),
 'diagnostics':('Functional block N: diagnostics and monitoring.','ClearVariableMonitoring CustomerInformation GetLog GetMonitoringReport LogStatusNotification NotifyCustomerInformation NotifyEvent NotifyMonitoringReport SetMonitoringBase SetMonitoringLevel SetVariableMonitoring'),
 'display':('Functional blocks O and P: display messages and vendor data.','ClearDisplayMessage DataTransfer GetDisplayMessages NotifyDisplayMessages SetDisplayMessage'),
}
groups=groups16 if ver=='v16' else groups201
initial={'Id':'ID','Url':'URL','Evse':'EVSE','Soc':'SoC','Csr':'CSR','Iccid':'ICCID','Imsi':'IMSI','Ocsp':'OCSP','Uri':'URI','Apn':'APN','Vpn':'VPN','Ev':'EV','Exi':'EXI','Crl':'CRL','Ac':'AC','Dc':'DC'}
def camel(s):
    s=re.sub(r'[^A-Za-z0-9]+',' ',s).strip()
    parts=[]
    for w in s.split():
        w=w[0].upper()+w[1:]
        parts.append(w)
    s=''.join(parts)
    words=re.findall(r'[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+',s)
    return ''.join(initial.get(w,w) for w in words)
objs=collections.OrderedDict(); enums=collections.OrderedDict()
# names for inline things of 1.6: by property, sometimes by message and property
names16={'meterValue':'MeterValue','transactionData':'MeterValue','sampledValue':'SampledValue','idTagInfo':'IDTagInfo','csChargingProfiles':'ChargingProfile','chargingProfile':'ChargingProfile','chargingSchedule':'ChargingSchedule','chargingSchedulePeriod':'ChargingSchedulePeriod','configurationKey':'KeyValue','localAuthorizationList':'AuthorizationData','certificateHashData':'CertificateHashData','firmware':'Firmware','log':'LogParameters'}
enum16={('StatusNotification','status'):'ChargePointStatus',('StatusNotification','errorCode'):'ChargePointErrorCode',('*','context'):'ReadingContext',('*','format'):'ValueFormat',('*','measurand'):'Measurand',('*','phase'):'Phase',('*','location'):'Location',('*','unit'):'UnitOfMeasure',('StopTransaction','reason'):'Reason',('IDTagInfo','status'):'AuthorizationStatus',('*','chargingProfilePurpose'):'ChargingProfilePurpose',('*','chargingProfileKind'):'ChargingProfileKind',('*','recurrencyKind'):'RecurrencyKind',('*','chargingRateUnit'):'ChargingRateUnit',('Reset','type'):'ResetType',('ChangeAvailability','type'):'AvailabilityType',('*','updateType'):'UpdateType',('*','hashAlgorithm'):'HashAlgorithm',('*','certificateType'):'CertificateUse',('*','logType'):'LogType',('TriggerMessage','requestedMessage'):'MessageTrigger',('ExtendedTriggerMessage','requestedMessage'):'ExtendedMessageTrigger',('BootNotificationResponse','status'):'RegistrationStatus',('DiagnosticsStatusNotification','status'):'DiagnosticsStatus',('FirmwareStatusNotification','status'):'FirmwareStatus',('SignedFirmwareStatusNotification','status'):'SignedFirmwareStatus',('LogStatusNotification','status'):'UploadLogStatus',('RemoteStartTransactionResponse','status'):'RemoteStartStopStatus',('RemoteStopTransactionResponse','status'):'RemoteStartStopStatus'}
strict={ # money and identity: absent or over-long is refused
 'v16':{('StartTransaction','connectorId'),('StartTransaction','idTag'),('StartTransaction','meterStart'),('StopTransaction','meterStop'),('StopTransaction','transactionId'),('MeterValues','connectorId'),('MeterValues','meterValue'),('Authorize','idTag'),('StatusNotification','connectorId'),('StatusNotification','status'),('StopTransaction','idTag')},
 'v201':{('TransactionEventRequest','eventType'),('TransactionEventRequest','seqNo'),('TransactionEventRequest','timestamp'),('TransactionEventRequest','triggerReason'),('TransactionEventRequest','transactionInfo'),('StatusNotificationRequest','connectorId'),('StatusNotificationRequest','evseId'),('StatusNotificationRequest','connectorStatus'),('AuthorizeRequest','idToken'),('MeterValuesRequest','evseId'),('MeterValuesRequest','meterValue')}}[ver]
def enumtype(owner,prop,vals):
    for k in ((owner,prop),('*',prop)):
        if k in enum16: n=enum16[k]; break
    else: n=owner.replace('Response','')+camel(prop)
    e=enums.setdefault(n,[])
    for v in vals:
        if v not in e: e.append(v)
    return n
def gotype(owner,prop,s,defs,req):
    if '$ref' in s:
        n=s['$ref'].split('/')[-1]; d=defs[n]
        if 'enum' in d:
            t=camel(re.sub('EnumType$','',n)); t=t+'Kind' if t in('IDToken','VPN') else t; e=enums.setdefault(t,[])
            for v in d['enum']:
                if v not in e: e.append(v)
            return t,'enum',d
        t=camel(re.sub('Type$','',n)); struct(t,d,defs); return t,'obj',d
    ty=s.get('type')
    if 'enum' in s: return enumtype(owner,prop,s['enum']),'enum',s
    if ty=='string':
        if s.get('format')=='date-time': return 'ocpp.Time','time',s
        return 'string','str',s
    if ty=='integer': return 'int','int',s
    if ty=='number': return 'ocpp.Decimal','num',s
    if ty=='boolean': return 'bool','bool',s
    if ty=='array':
        it,k,_=gotype(owner,prop,s['items'],defs,True); return '[]'+it,'arr',s
    if ty=='object':
        n=names16.get(prop,owner+camel(prop)); struct(n,s,defs); return n,'obj',s
    if ty is None: return 'json.RawMessage','raw',s
    raise Exception((owner,prop,s))
def struct(name,d,defs):
    if name in objs and objs[name] is not None:
        have={f[1] for f in objs[name]}
    req=set(d.get('required',[]))
    fields=objs.get(name)
    if fields is None: fields=objs[name]=[]
    have={f[1] for f in fields}
    for p,s in d.get('properties',{}).items():
        if p in have: continue
        if ver=='v201' and p=='customData':
            continue
        t,k,sd=gotype(name,p,s,defs,p in req)
        tag=[]
        opt=p not in req
        if sd.get('maxLength') and k=='str': tag.append(f"max={sd['maxLength']}")
        if k=='arr':
            if sd.get('maxItems'): tag.append(f"items={sd['maxItems']}")
        if not opt: tag.insert(0,'required')
        if (name,p) in strict: tag.append('strict')
        js=p
        if opt:
            js+=',omitempty'
            if k in('int','bool','obj','time','num'): t='*'+t if k!='num' else '*'+t
        go='CertificateAction' if p=='action' else camel(p) # Action is what every request is called by
        fields.append((go,p,t,js,','.join(tag)))
os.makedirs(out,exist_ok=True)
files={}
msgobjs=set()
for g,(doc,msgs) in groups.items():
    for m in msgs.split():
        for suffix in (('','Response') if ver=='v16' else ('Request','Response')):
            d=json.load(open(f'{src}/{m}{suffix}.json',encoding='utf-8-sig'))
            struct(m+suffix,d,d.get('definitions',{}))
            msgobjs.add(m+suffix)
def emit(name,doc=None):
    o=[]
    if doc:o.append(doc)
    fs=objs[name]
    if not fs: o.append(f'type {name} struct{{}}\n'); return '\n'.join(o)
    o.append(f'type {name} struct {{')
    for go,p,t,js,tag in fs:
        tg=f'`json:"{js}"'+(f' ocpp:"{tag}"' if tag else '')+'`'
        o.append(f'\t{go} {t} {tg}')
    o.append('}\n')
    return '\n'.join(o)
pkg=ver
def header(body):
    imps=[]
    if 'json.' in body: imps.append('"encoding/json"')
    s=f'// Code generated by tools/ocppgen.py from the schemas of the Open Charge Alliance. DO NOT EDIT.\n\npackage {pkg}\n\n'
    if 'ocpp.Time' in body or 'ocpp.Decimal' in body:
        imps.append('')
        imps.append('"github.com/cairn-network/cairn/wire/ocpp"')
    if imps: s+='import (\n'+'\n'.join('\t'+i if i else '' for i in imps)+'\n)\n\n'
    return s+body
actions=[]
sec={m:f'4.{i+1}' for i,m in enumerate('Authorize BootNotification DataTransfer DiagnosticsStatusNotification FirmwareStatusNotification Heartbeat MeterValues StartTransaction StatusNotification StopTransaction'.split())}
sec.update({m:f'5.{i+1}' for i,m in enumerate('CancelReservation ChangeAvailability ChangeConfiguration ClearCache ClearChargingProfile DataTransferCS GetCompositeSchedule GetConfiguration GetDiagnostics GetLocalListVersion RemoteStartTransaction RemoteStopTransaction ReserveNow Reset SendLocalList SetChargingProfile TriggerMessage UnlockConnector UpdateFirmware'.split())})
for g,(doc,msgs) in groups.items():
    b=[f'// {doc}\n']
    for m in msgs.split():
        rq=m if ver=='v16' else m+'Request'
        b.append(emit(rq,f'// {rq} calls {m}'+(f' (section {sec[m]}).' if ver=="v16" and m in sec else '.')))
        actions.append((m,rq))
        b.append(emit(m+'Response',f'// {m}Response answers it.'))
    open(f'{out}/{g}.go','w').write(header('\n'.join(b)))
b=[]
for n in sorted(objs):
    if n in msgobjs: continue
    b.append(emit(n,f'// {n} is a part of other messages.'))
open(f'{out}/types.go','w').write(header('\n'.join(b)))
b=[]
for n in sorted(enums):
    b.append(f'// {n} is one of the texts below; what a peer sends may be another.\ntype {n} string\n')
    b.append(f'// Values of {n}.\nconst (')
    for v in enums[n]:
        b.append(f'\t{n}{camel(v)} {n} = "{v}"')
    b.append(')\n')
open(f'{out}/enums.go','w').write(header('\n'.join(b)))
print(len(objs),len(enums))

b=['// What every request is called in the frame, and what answers it (ocpp.Request).\n']
for m,rq in sorted(actions):
    b.append(f'func (*{rq}) Action() string {{ return "{m}" }}')
    b.append(f'func (*{rq}) Response() *{m}Response {{ return new({m}Response) }}\n')
open(f'{out}/actions.go','w').write(header('\n'.join(b)))
