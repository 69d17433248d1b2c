import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Sends the requests of standard input over HTTP/2 with the JDK's client, and prints what came back for each. */
class RefusedBodies {
    public static void main(String[] arguments) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (FileInputStream file = new FileInputStream(arguments[1])) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);
        BufferedReader asks = new BufferedReader(new InputStreamReader(System.in));
        // Method, path, bytes, turns, status, then names and values of headers, separated by tabs.
        for (String line = asks.readLine(); line != null; line = asks.readLine()) {
            String[] ask = line.split("\t");
            byte[] body = new byte[Integer.parseInt(ask[2])];
            Arrays.fill(body, (byte) 'x');
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(arguments[0] + ask[1]))
                    .method(ask[0], HttpRequest.BodyPublishers.ofByteArray(body));
            for (int at = 5; at < ask.length; at += 2) {
                request.header(ask[at], ask[at + 1]);
            }
            HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).sslContext(tls).build();
            int answered = 0;
            for (int turn = 0; turn < Integer.parseInt(ask[3]); turn++) {
                try {
                    HttpResponse<Void> answer = client.send(request.build(), HttpResponse.BodyHandlers.discarding());
                    if (answer.statusCode() == Integer.parseInt(ask[4]) && answer.version() == HttpClient.Version.HTTP_2) {
                        answered++;
                    }
                } catch (IOException error) {
                    System.err.println(error);
                }
            }
            System.out.println(answered);
        }
    }
}
