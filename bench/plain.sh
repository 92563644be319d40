#!/bin/sh
# What playbooks/zookeeper.yml brings about, by a script that somebody in a hurry would write: every host at
# once over SSH, and no check of anything. bench/plain.sh SSH_CONFIG HOST...
set -eu
config=$1
shift

on_host() {
    cat <<'SCRIPT'
set -eu
id=$1
shift
export DEBIAN_FRONTEND=noninteractive
mkdir -p /usr/share/man/man1
apt-get -qq install --no-install-recommends --yes default-jre-headless libzookeeper-java liblogback-java libjline2-java >/dev/null
useradd --system --no-create-home --home-dir /var/lib/zookeeper --shell /usr/sbin/nologin zookeeper
install -d -o zookeeper -g zookeeper -m 750 /var/lib/zookeeper /var/lib/zookeeper/data /var/lib/zookeeper/txnlog
install -d /etc/zookeeper
echo "$id" >/var/lib/zookeeper/data/myid
cat >/etc/zookeeper/zoo.cfg <<END
dataDir=/var/lib/zookeeper/data
dataLogDir=/var/lib/zookeeper/txnlog
clientPort=2181
tickTime=1000
initLimit=20
syncLimit=2
4lw.commands.whitelist=srvr, mntr
admin.enableServer=false
END
number=0
for host; do
    number=$((number + 1))
    echo "server.$number=$host:2888:3888" >>/etc/zookeeper/zoo.cfg
done
cat >/etc/zookeeper/logback.xml <<END
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%p %m%n</pattern></encoder></appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
END
jars=/usr/share/java
cat >/etc/systemd/system/zookeeper.service <<END
[Service]
User=zookeeper
ExecStart=/usr/lib/jvm/default-java/bin/java -Xms128m -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Dlogback.configurationFile=/etc/zookeeper/logback.xml \
    -cp $jars/zookeeper.jar:$jars/logback-classic.jar:$jars/logback-core.jar \
    org.apache.zookeeper.server.quorum.QuorumPeerMain /etc/zookeeper/zoo.cfg
SuccessExitStatus=143
Restart=on-failure
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl --quiet enable --now zookeeper
mode() { (exec 3<>/dev/tcp/127.0.0.1/2181 && echo srvr >&3 && cat <&3) 2>/dev/null | grep '^Mode: '; }
for _ in $(seq 600); do
    if mode | grep -q 'leader\|follower'; then exit 0; fi
    sleep 0.1
done
echo "$(hostname) does not serve" >&2
exit 1
SCRIPT
}

number=0
pids=
for host; do
    number=$((number + 1))
    on_host | ssh -F "$config" "$host" bash -s "$number" "$@" &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
