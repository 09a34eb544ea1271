/** The client cannot express the scenario; the message says why. */
final class NotApplicable extends RuntimeException {
    private static final long serialVersionUID = 1;

    NotApplicable(String reason) {
        super(reason);
    }
}
