"""The files that a node is started with: cassandra.yaml, logback.xml and the options for Java."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.sax.saxutils import escape

from async_cassandra.server.addresses import NodeAddress
from async_cassandra.server.certificates import Certificates
from async_cassandra.server.distribution import Distribution
from async_cassandra.server.options import ServerOptions, Setting

MAIN_CLASS = "org.apache.cassandra.service.CassandraDaemon"
TOKENS_PER_NODE = 16

FIXED_SETTINGS: dict[str, Setting] = {
    "cluster_name": "async-cassandra",
    "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
    "num_tokens": TOKENS_PER_NODE,
    "auto_bootstrap": False,
    "endpoint_snitch": "SimpleSnitch",
    "authorizer": "AllowAllAuthorizer",
    "commitlog_sync": "periodic",
    "commitlog_total_space": "256MiB",
    "disk_failure_policy": "die",
    "auto_snapshot": False,
    "user_defined_functions_enabled": True,
    "materialized_views_enabled": True,
}

# The packages that Cassandra 5's own jvm17-server.options opens, less those of jdk.compiler, which
# is only in a full JDK and only needed by tools.
EXPORTS = (
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.unsupported/sun.misc",
)
OPENS = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
)

LOGBACK = """\
<configuration>
  <shutdownHook class="ch.qos.logback.core.hook.DefaultShutdownHook"/>
  <appender name="FILE" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>{log}</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>{pattern}</fileNamePattern>
      <maxIndex>3</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>20MB</maxFileSize>
    </triggeringPolicy>
    <encoder><pattern>%-5level [%thread] %date{{ISO8601}} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="FILE"/></root>
</configuration>
"""


def tokens(index: int, node_count: int) -> str:
    """Return a node's tokens: all nodes' together divide the ring evenly, each node's spread over it."""
    total = TOKENS_PER_NODE * node_count
    step = 2**64 // total
    mine = range(index, total, node_count)
    return ",".join(str(-(2**63) + step * position) for position in mine)


def node_settings(
    options: ServerOptions,
    addresses: list[NodeAddress],
    index: int,
    certificates: Certificates | None,
) -> dict[str, Setting]:
    """Return the settings of one node's cassandra.yaml."""
    address = addresses[index]
    seeds = ",".join(f"{node.host}:{node.storage_port}" for node in addresses)
    settings: dict[str, Setting] = {
        **FIXED_SETTINGS,
        "initial_token": tokens(index, len(addresses)),
        "listen_address": address.host,
        "storage_port": address.storage_port,
        "rpc_address": address.host,
        "native_transport_port": address.port,
        "seed_provider": [
            {
                "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                "parameters": [{"seeds": seeds}],
            }
        ],
        "authenticator": "PasswordAuthenticator" if options.auth else "AllowAllAuthenticator",
    }
    if certificates is not None:
        settings["client_encryption_options"] = client_encryption(certificates)
    settings |= options.config
    if settings["commitlog_sync"] == "periodic":
        settings.setdefault("commitlog_sync_period", "10s")
    return settings


def client_encryption(certificates: Certificates) -> dict[str, Setting]:
    return {
        "enabled": True,
        "optional": False,
        "require_client_auth": False,
        "ssl_context_factory": {
            "class_name": "org.apache.cassandra.security.PEMBasedSslContextFactory",
            "parameters": {"private_key": certificates.key + certificates.chain},
        },
    }


def yaml(settings: dict[str, Setting]) -> str:
    """Write a YAML document: one line for each setting, its value as JSON, which YAML includes."""
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items())


def java_options(options: ServerOptions, distribution: Distribution, folder: Path) -> list[str]:
    """Return the command line of a node's JVM, after ``java`` and before the main class."""
    return [
        *memory_options(options),
        "-Xss512k",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.net.preferIPv4Stack=true",
        "-Djdk.attach.allowAttachSelf=true",
        "-Dio.netty.tryReflectionSetAccessible=true",
        *(f"--add-exports={package}=ALL-UNNAMED" for package in EXPORTS),
        *(f"--add-opens={package}=ALL-UNNAMED" for package in OPENS),
        f"-javaagent:{distribution.agent}",
        f"-Dcassandra.config={(folder / 'conf' / 'cassandra.yaml').as_uri()}",
        f"-Dlogback.configurationFile={(folder / 'conf' / 'logback.xml').as_uri()}",
        f"-Dcassandra.storagedir={folder}",
        f"-Dcassandra.logdir={folder}",
        "-Dcassandra.ring_delay_ms=1000",
        "-Dcassandra.skip_wait_for_gossip_to_settle=0",
        "-Dcassandra.shutdown_announce_in_ms=0",
        "-Dcassandra.superuser_setup_delay_ms=0",
        *options.jvm_options,
        "-cp",
        ":".join(str(jar) for jar in distribution.jars),
    ]


def memory_options(options: ServerOptions) -> list[str]:
    """Return options for heap, collector and compilers; ``test`` saves memory and time at the start."""
    heap = options.heap_mb
    if options.profile == "steady":
        # The addresses in a large heap of small pages are looked up again and again.
        huge_pages = ["-XX:+UseTransparentHugePages"] if sys.platform == "linux" else []
        return [
            f"-Xms{heap}M",
            f"-Xmx{heap}M",
            "-XX:+UseParallelGC",
            "-XX:+AlwaysPreTouch",
            *huge_pages,
            # Else each thread that takes another kind of work renames itself by a system call.
            "-Dcassandra.set_sep_thread_name=false",
        ]
    return ["-Xms96M", f"-Xmx{heap}M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


def quoted(argument: str) -> str:
    """Write one argument as a line of the file that ``java @file`` reads."""
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_configuration(folder: Path, settings: dict[str, Setting], jvm: list[str]) -> Path:
    """Write a node's files into ``folder/conf``; return the one with the options for Java."""
    conf = folder / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    conf.chmod(0o700)
    log = folder / "system.log"
    pattern = folder / "system.%i.log"
    (conf / "cassandra.yaml").write_text(yaml(settings))
    (conf / "logback.xml").write_text(
        LOGBACK.format(log=escape(str(log)), pattern=escape(str(pattern)))
    )
    arguments = conf / "java.options"
    arguments.write_text("\n".join(quoted(argument) for argument in jvm) + "\n")
    return arguments
