import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import pro.telepower.skyline.BlockingSkylineClient;
import pro.telepower.skyline.Session;
import pro.telepower.skyline.SkylineConfiguration;
import pro.telepower.skyline.SkylineException;

/**
 * Activates a license and uses the session: the quick start in Java.
 *
 * <p>Reads SKYLINE_URL, SKYLINE_IDENTITY_KEY, SKYLINE_LICENSE_KEY and SKYLINE_STATE_FOLDER.
 */
public final class QuickStart {
    private QuickStart() {}

    public static void main(String[] arguments) throws InterruptedException {
        SkylineConfiguration configuration =
                SkylineConfiguration.builder("telepower", "7.0.3", setting("SKYLINE_LICENSE_KEY"))
                        .url(setting("SKYLINE_URL"))
                        .identityKey(setting("SKYLINE_IDENTITY_KEY"))
                        .stateFolder(Path.of(setting("SKYLINE_STATE_FOLDER")))
                        .build();
        try (BlockingSkylineClient client = BlockingSkylineClient.connect(configuration)) {
            Session session = client.getSession();
            System.out.println("activated now: " + (session.isActivatedNow() ? "yes" : "no"));
            System.out.println("plan: " + session.getLicensePlan());
            System.out.println("activated on: " + session.getActivationDate());
            System.out.println("expires on: " + session.getExpiryDate());

            new TreeMap<>(client.limits())
                    .forEach((name, value) -> System.out.println("limit " + name + ": " + value));

            client.sendEvent("app.navigation", Map.of("to", "/account-manager"));
            System.out.println("event reported: app.navigation");
        } catch (SkylineException failure) {
            // The sentence is meant for the user; the code is for programs.
            System.err.println(failure.getCode() + ": " + failure.getMessage());
            System.exit(1);
        }
    }

    private static String setting(String name) {
        String value = System.getenv(name);
        if (value == null) {
            throw new IllegalStateException("set " + name);
        }
        return value;
    }
}
