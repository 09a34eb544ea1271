//! Authentication, authorization, TLS and SASL. See [`super`].

use crate::config::key::keys;
use crate::config::refusal;

keys! { pub(super) const KEYS:
    Refused(refusal::AUTHORIZER) String "authorizer.class.name" = "", Any, ReadOnly:
        "The class that decides who may do what; empty allows everything.";
    Refused(refusal::LOGIN) Class "principal.builder.class"
        = "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", Any, Dynamic:
        "The class that names the user of a connection.";
    NotYet Password "delegation.token.secret.key" = null, Any, ReadOnly:
        "The key that signs delegation tokens.";
    NotYet Long "delegation.token.max.lifetime.ms" = "604800000", AtLeast(1), ReadOnly:
        "How long a delegation token can be renewed.";
    NotYet Long "delegation.token.expiry.time.ms" = "86400000", AtLeast(1), ReadOnly:
        "How long a delegation token lasts without renewal.";
    NotYet Long "delegation.token.expiry.check.interval.ms" = "3600000", AtLeast(1), ReadOnly:
        "How often expired delegation tokens are removed.";
    NoEffect String "security.providers" = null, Any, ReadOnly:
        "Java security providers.";
    NotYet String "ssl.client.auth" = "none", OneOf(&["required", "requested", "none"]), Dynamic:
        "Whether clients must show a certificate.";
    NotYet String "ssl.principal.mapping.rules" = "DEFAULT", Any, ReadOnly:
        "How the name in a certificate becomes a user name.";
    NotYet String "ssl.keystore.location" = null, Any, Dynamic:
        "The file that holds the broker's key and certificate.";
    NotYet Password "ssl.keystore.password" = null, Any, Dynamic:
        "The password of `ssl.keystore.location`.";
    NotYet String "ssl.keystore.type" = "JKS", Any, Dynamic:
        "The format of `ssl.keystore.location`.";
    NotYet Password "ssl.keystore.key" = null, Any, Dynamic:
        "The broker's private key as PEM text.";
    NotYet Password "ssl.keystore.certificate.chain" = null, Any, Dynamic:
        "The broker's certificates as PEM text.";
    NotYet Password "ssl.key.password" = null, Any, Dynamic:
        "The password of the private key.";
    NotYet String "ssl.truststore.location" = null, Any, Dynamic:
        "The file that holds the certificates of trusted authorities.";
    NotYet Password "ssl.truststore.password" = null, Any, Dynamic:
        "The password of `ssl.truststore.location`.";
    NotYet String "ssl.truststore.type" = "JKS", Any, Dynamic:
        "The format of `ssl.truststore.location`.";
    NotYet Password "ssl.truststore.certificates" = null, Any, Dynamic:
        "The certificates of trusted authorities as PEM text.";
    NotYet String "ssl.protocol" = "TLSv1.3", Any, Dynamic:
        "The TLS version to prefer.";
    NotYet List "ssl.enabled.protocols" = "TLSv1.2,TLSv1.3", Any, Dynamic:
        "The TLS versions to allow.";
    NotYet List "ssl.cipher.suites" = "", Any, Dynamic:
        "The cipher suites to allow; empty for all.";
    NotYet String "ssl.endpoint.identification.algorithm" = "https", Any, Dynamic:
        "How a server's name is checked against its certificate.";
    NotYet Boolean "ssl.allow.dn.changes" = "false", Any, ReadOnly:
        "Whether a reloaded certificate may carry another name.";
    NotYet Boolean "ssl.allow.san.changes" = "false", Any, ReadOnly:
        "Whether a reloaded certificate may carry other alternative names.";
    NoEffect String "ssl.provider" = null, Any, Dynamic:
        "The Java TLS provider.";
    NoEffect String "ssl.keymanager.algorithm" = "SunX509", Any, Dynamic:
        "The Java key manager.";
    NoEffect String "ssl.trustmanager.algorithm" = "PKIX", Any, Dynamic:
        "The Java trust manager.";
    NoEffect String "ssl.secure.random.implementation" = null, Any, Dynamic:
        "The Java random number generator.";
    Refused(refusal::LOGIN) Class "ssl.engine.factory.class" = null, Any, Dynamic:
        "A class that creates TLS engines.";
    NotYet List "sasl.enabled.mechanisms" = "GSSAPI", Any, Dynamic:
        "The SASL mechanisms clients may use.";
    NotYet String "sasl.mechanism.inter.broker.protocol" = "GSSAPI", Any, Dynamic:
        "The SASL mechanism between brokers.";
    NotYet String "sasl.mechanism.controller.protocol" = "GSSAPI", Any, ReadOnly:
        "The SASL mechanism between brokers and controllers.";
    NotYet Password "sasl.jaas.config" = null, Any, Dynamic:
        "The login modules of SASL, in JAAS syntax.";
    NotYet Int "sasl.server.max.receive.size" = "524288", Any, ReadOnly:
        "The largest SASL message before authentication.";
    Refused(refusal::LOGIN) Class "sasl.server.callback.handler.class" = null, Any, ReadOnly:
        "A class that checks SASL credentials.";
    Refused(refusal::LOGIN) Class "sasl.client.callback.handler.class" = null, Any, ReadOnly:
        "A class that provides SASL credentials to this broker.";
    Refused(refusal::LOGIN) Class "sasl.login.callback.handler.class" = null, Any, ReadOnly:
        "A class that provides login credentials.";
    Refused(refusal::LOGIN) Class "sasl.login.class" = null, Any, ReadOnly:
        "A class that logs in.";
    NotYet Int "sasl.login.connect.timeout.ms" = null, Any, ReadOnly:
        "How long a login waits for its connection.";
    NotYet Int "sasl.login.read.timeout.ms" = null, Any, ReadOnly:
        "How long a login waits for its answer.";
    NotYet Short "sasl.login.refresh.buffer.seconds" = "300", Any, Dynamic:
        "How long before its end a login is refreshed at the latest.";
    NotYet Short "sasl.login.refresh.min.period.seconds" = "60", Any, Dynamic:
        "How long a login lasts before it is refreshed.";
    NotYet Double "sasl.login.refresh.window.factor" = "0.8", Any, Dynamic:
        "After which part of its life a login is refreshed.";
    NotYet Double "sasl.login.refresh.window.jitter" = "0.05", Any, Dynamic:
        "By how much `sasl.login.refresh.window.factor` varies at random.";
    NotYet Long "sasl.login.retry.backoff.ms" = "100", Any, ReadOnly:
        "The first pause between two login attempts.";
    NotYet Long "sasl.login.retry.backoff.max.ms" = "10000", Any, ReadOnly:
        "The longest pause between two login attempts.";
    NotYet String "sasl.kerberos.kinit.cmd" = "/usr/bin/kinit", Any, Dynamic:
        "The path of kinit.";
    NotYet Long "sasl.kerberos.min.time.before.relogin" = "60000", Any, Dynamic:
        "The shortest time between two Kerberos logins.";
    NotYet List "sasl.kerberos.principal.to.local.rules" = "DEFAULT", Any, Dynamic:
        "How a Kerberos name becomes a user name.";
    NotYet String "sasl.kerberos.service.name" = null, Any, Dynamic:
        "The Kerberos name of this service.";
    NotYet Double "sasl.kerberos.ticket.renew.jitter" = "0.05", Any, Dynamic:
        "By how much the renewal of a ticket varies at random.";
    NotYet Double "sasl.kerberos.ticket.renew.window.factor" = "0.8", Any, Dynamic:
        "After which part of its life a ticket is renewed.";
    NotYet String "sasl.oauthbearer.assertion.algorithm"
        = "RS256", OneOfAnyCase(&["ES256", "RS256"]), ReadOnly:
        "The algorithm that signs an OAuth assertion.";
    NotYet String "sasl.oauthbearer.assertion.claim.aud" = null, Any, ReadOnly:
        "The audience an OAuth assertion claims.";
    NotYet Int "sasl.oauthbearer.assertion.claim.exp.seconds" = "300", Between(0, 86400), ReadOnly:
        "After how long an OAuth assertion expires.";
    NotYet String "sasl.oauthbearer.assertion.claim.iss" = null, Any, ReadOnly:
        "The issuer an OAuth assertion claims.";
    NotYet Boolean "sasl.oauthbearer.assertion.claim.jti.include" = "false", Any, ReadOnly:
        "Whether an OAuth assertion carries an id of its own.";
    NotYet Int "sasl.oauthbearer.assertion.claim.nbf.seconds" = "60", Between(0, 3600), ReadOnly:
        "How far back an OAuth assertion starts to hold.";
    NotYet String "sasl.oauthbearer.assertion.claim.sub" = null, Any, ReadOnly:
        "The subject an OAuth assertion claims.";
    NotYet String "sasl.oauthbearer.assertion.file" = null, Any, ReadOnly:
        "A file that holds a ready OAuth assertion.";
    NotYet String "sasl.oauthbearer.assertion.private.key.file" = null, Any, ReadOnly:
        "The key that signs an OAuth assertion.";
    NotYet Password "sasl.oauthbearer.assertion.private.key.passphrase" = null, Any, ReadOnly:
        "The passphrase of `sasl.oauthbearer.assertion.private.key.file`.";
    NotYet String "sasl.oauthbearer.assertion.template.file" = null, Any, ReadOnly:
        "A template of an OAuth assertion.";
    NotYet String "sasl.oauthbearer.client.credentials.client.id" = null, Any, ReadOnly:
        "The client id for an OAuth token.";
    NotYet Password "sasl.oauthbearer.client.credentials.client.secret" = null, Any, ReadOnly:
        "The client secret for an OAuth token.";
    NotYet Int "sasl.oauthbearer.clock.skew.seconds" = "30", Any, ReadOnly:
        "How far clocks may differ when a token is checked.";
    NotYet List "sasl.oauthbearer.expected.audience" = null, Any, ReadOnly:
        "The audiences a token may name.";
    NotYet String "sasl.oauthbearer.expected.issuer" = null, Any, ReadOnly:
        "The issuer a token must name.";
    NotYet Long "sasl.oauthbearer.jwks.endpoint.refresh.ms" = "3600000", Any, ReadOnly:
        "How often the keys that check tokens are fetched.";
    NotYet Long "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" = "100", Any, ReadOnly:
        "The first pause after the keys that check tokens could not be fetched.";
    NotYet Long "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" = "10000", Any, ReadOnly:
        "The longest pause after the keys that check tokens could not be fetched.";
    NotYet String "sasl.oauthbearer.jwks.endpoint.url" = null, Any, ReadOnly:
        "Where the keys that check tokens are found.";
    Refused(refusal::JWT) Class "sasl.oauthbearer.jwt.retriever.class"
        = "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", Any, ReadOnly:
        "A class that fetches tokens.";
    Refused(refusal::JWT) Class "sasl.oauthbearer.jwt.validator.class"
        = "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", Any, ReadOnly:
        "A class that checks tokens.";
    NotYet String "sasl.oauthbearer.scope" = null, Any, ReadOnly:
        "The scope to ask a token for.";
    NotYet String "sasl.oauthbearer.scope.claim.name" = "scope", Any, ReadOnly:
        "The claim that holds a token's scope.";
    NotYet String "sasl.oauthbearer.sub.claim.name" = "sub", Any, ReadOnly:
        "The claim that holds a token's subject.";
    NotYet String "sasl.oauthbearer.token.endpoint.url" = null, Any, ReadOnly:
        "Where tokens are fetched.";
}
